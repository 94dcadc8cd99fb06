"""Two folders that can be written, each a file system of its own: what may cross, and what moves by copying."""
import errno, os, shutil, stat, sys

here, there = sys.argv[1:3]
os.chdir(here)

def attempt(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]

def path(name): return os.path.join(there, name)

os.makedirs("tree/inner")
for name in ("file", "tree/file", "tree/inner/file"):
    with open(name, "w") as f: f.write(name * 1000)
os.symlink("file", "tree/link")
os.link("tree/file", "tree/same")
os.chmod("tree/file", 0o640)
os.utime("tree/file", ns=(1_000_000_000, 2_000_000_000))
with open(path("taken"), "w") as f: f.write("taken")
print("devices", os.stat(".").st_dev == os.stat(there).st_dev, os.stat("file").st_dev == os.stat(".").st_dev, os.stat(path("taken")).st_dev == os.stat(there).st_dev)
fds = os.open(".", os.O_RDONLY), os.open(there, os.O_RDONLY)
print("rename", [attempt(os.rename, name, path(new)) for name in ("file", "tree", "tree/link", "missing") for new in ("new", "taken")],
      attempt(os.rename, "file", "new", src_dir_fd=fds[0], dst_dir_fd=fds[1]), attempt(os.rename, path("taken"), "file"), attempt(os.replace, "file", path("taken")))
print("link", attempt(os.link, "file", path("new")), attempt(os.link, "file", path("taken")), attempt(os.link, "tree", path("new")), attempt(os.symlink, os.path.abspath("file"), path("link")),
      open(path("link")).read() == open("file").read(), os.path.samefile(path("link"), "file"))
print("move", shutil.move("tree", path("moved")) == path("moved"), os.path.exists("tree"), sorted(os.listdir(path("moved"))), os.readlink(path("moved/link")),
      oct(os.stat(path("moved/file")).st_mode), os.stat(path("moved/file")).st_mtime_ns, open(path("moved/inner/file")).read() == "tree/inner/file" * 1000)
with open("file", "rb") as source, open(path("copy"), "wb") as target:
    # Which file systems copy_file_range(2) may lie between has changed from kernel to kernel.
    print("copy", attempt(os.copy_file_range, source.fileno(), target.fileno(), 1000, 0, 0) in (1000, "EXDEV"), os.sendfile(target.fileno(), source.fileno(), 0, 4000))
print(open(path("copy")).read() == open("file").read())
os.chdir(there)
print("relative", open("taken").read(), os.path.samestat(os.stat("."), os.fstat(fds[1])), os.path.samestat(os.stat(".", dir_fd=fds[0]), os.fstat(fds[0])), attempt(os.rmdir, "."), attempt(os.rmdir, "moved"))
print("fwalk", [(len(folders), sorted(files)) for _, folders, files, _ in os.fwalk("moved")], stat.S_ISDIR(os.fstat(fds[1]).st_mode))
shutil.rmtree("moved")
print(sorted(os.listdir(".")))
