"""The places of environments.md, rebuilt: what each puts around a command, as options of `enter`."""

import json
import os
import subprocess
import tempfile

PROFILE = "usr/share/containers/seccomp.json"
PACKAGE = "golang-github-containers-common"  # Debian's; 7 MB, of which only that file is wanted

# What engines leave to root in a container: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID,
# SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
DOCKER_CAPABILITIES = "a80425fb"

EPERM, EINVAL, ENOSYS = 1, 22, 38
CLONE_NEW = 0x7E020000  # every CLONE_NEW* that clone(2) takes

# Calls of Linux 4.9 to 6.x that vitrine would use, or that programs fall back from.
NEWER_CALLS = ("statx openat2 faccessat2 close_range pidfd_open pidfd_getfd pidfd_send_signal "
               "clone3 landlock_create_ruleset landlock_add_rule landlock_restrict_self "
               "io_uring_setup process_madvise epoll_pwait2 mount_setattr memfd_secret rseq").split()
# What the default profile of engines did not know in 2020, and answered with EPERM.
UNKNOWN_IN_2020 = [name for name in NEWER_CALLS if name not in ("statx", "rseq", "clone3")]
UNKNOWN_IN_2018 = ["statx", *UNKNOWN_IN_2020]

NEW_LISTENER = "rule {action} seccomp 0 0xffffffff 1 1 8 8"  # SECCOMP_FILTER_FLAG_NEW_LISTENER
GET_SYSCALL_INFO = "rule {action} ptrace 0 0xffffffff 0x420e"
OPEN = ["default allow", "foreign allow"]


def engine_profile(cache):
    """The container engines' default profile, as Debian ships it; None where it cannot be had."""
    for root in ("/", cache):
        path = os.path.join(root, PROFILE)
        if os.path.exists(path):
            return path
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        got = subprocess.run(["apt-get", "download", "-qq", PACKAGE], cwd=folder,
                             capture_output=True)
        for name in os.listdir(folder):
            subprocess.run(["dpkg-deb", "-x", name, cache], cwd=folder, check=True)
    path = os.path.join(cache, PROFILE)
    return path if got.returncode == 0 and os.path.exists(path) else None


def action_word(name, number):
    if name == "SCMP_ACT_ALLOW":
        return "allow"
    if name == "SCMP_ACT_ERRNO":
        return str(EPERM if number is None else number)
    raise ValueError(name)


def rule_line(action, name, arguments):
    words = []
    for argument in arguments or ():
        operator = argument["op"]
        if operator == "SCMP_CMP_NE":
            return f"rule-ne {action} {name} {argument['index']} {argument['value']}"
        mask = argument["value"] if operator == "SCMP_CMP_MASKED_EQ" else 0xFFFFFFFFFFFFFFFF
        value = argument["valueTwo"] if operator == "SCMP_CMP_MASKED_EQ" else argument["value"]
        words += [str(argument["index"]), str(mask), str(value)]
    return " ".join(["rule", action, name, *words])


def engine_rules(path, capabilities=("CAP_AUDIT_WRITE", "CAP_SYS_CHROOT")):
    """The profile as lines of a filter, for x86_64 and these capabilities."""
    with open(path, encoding="utf-8") as f:
        profile = json.load(f)
    lines = ["default " + action_word(profile["defaultAction"], profile.get("defaultErrnoRet")),
             "foreign allow"]
    for group in profile["syscalls"]:
        includes, excludes = group.get("includes") or {}, group.get("excludes") or {}
        arches = includes.get("arches")
        if arches and "amd64" not in arches:
            continue
        if not set(includes.get("caps") or ()) <= set(capabilities):
            continue
        if set(excludes.get("caps") or ()) & set(capabilities):
            continue
        action = action_word(group["action"], group.get("errnoRet"))
        lines += [rule_line(action, name, group.get("args")) for name in group["names"]]
    return lines


def without(lines, names, action):
    """The same filter, in which these calls end with `action`."""
    kept = [line for line in lines
            if not (line.startswith("rule") and line.split()[2] in names)]
    return kept + [f"rule {action} {name}" for name in names]


def docker_rules(path):
    """Docker's own differences from the profile that Debian ships with Podman's."""
    lines = engine_rules(path)
    namespaces = ["mount", "umount2", "unshare", "setns", "pivot_root", "pidfd_getfd", "kcmp"]
    return without(without(lines, namespaces, EPERM), ["clone3"], ENOSYS)


def old_engine_rules(path, unknown=UNKNOWN_IN_2020):
    """An engine of 2020: everything newer is EPERM, and other processes' memory needs a capability."""
    lines = without(docker_rules(path), unknown, EPERM)
    return without(lines, ["process_vm_readv", "process_vm_writev"], EPERM)


def old_kernel_rules():
    """What Linux 4.8 answers to calls that came later."""
    newer = [f"rule {ENOSYS} {name}" for name in NEWER_CALLS]
    return OPEN + newer + [NEW_LISTENER.format(action=EINVAL), GET_SYSCALL_INFO.format(action=5)]


def lambda_rules():
    """AWS Lambda, as reported: neither ptrace nor prctl nor seccomp, and int 0x80 is fatal."""
    names = "ptrace prctl seccomp chroot unshare setns mount pivot_root".split()
    namespaces = [f"rule {EPERM} clone 0 {bit} {bit}"
                  for bit in (1 << n for n in range(32)) if bit & CLONE_NEW]
    return ["default allow", "foreign kill"] + [f"rule {EPERM} {name}" for name in names] + namespaces
