"""Taking away what does not exist, where nothing can be written."""
import errno, os

def attempt(call, *arguments):
    try:
        call(*arguments)
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]

for call, arguments in ((os.unlink, ()), (os.rmdir, ()), (os.rename, ("/usr/other",)), (os.truncate, (0,)),
                        (os.chmod, (0o600,)), (os.utime, ()), (os.remove, ())):
    print(call.__name__, attempt(call, "/usr/lib/no-such-name", *arguments))
usage = os.statvfs("/usr/lib")
print(usage.f_blocks > 0, usage.f_bfree <= usage.f_blocks, usage.f_bsize > 0)
print(attempt(os.pidfd_open, -1), attempt(os.pidfd_open, 0), attempt(lambda: os.close(os.pidfd_open(os.getpid()))))
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print("the limit is as before", resource.getrlimit(resource.RLIMIT_FSIZE) == (soft, hard))
