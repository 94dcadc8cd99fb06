#!/usr/bin/env bash
# Boots Debian 12's own kernel (linux-image-cloud-amd64, Linux 6.1) in qemu, with this checkout's command,
# guests and core tests and the host's Python in its initial file system, and runs the tests there. By hand,
# after tests/run.sh has built: without KVM the core takes some 20 minutes.
#
#   tests/environments/kernel-6.1.sh                       the core: doctor, main job, refusals, calls, flip
#   tests/environments/kernel-6.1.sh integration.test_x... these suites
#   KERNEL=/boot/vmlinuz-... tests/environments/kernel-6.1.sh   another kernel
#
# Packages: qemu-system-x86 busybox-static cpio. Ends with 0 when every test passed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/release}
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(integration.test_main_job integration.test_refusals
                                   adversarial.test_calls integration.test_flip)

for tool in qemu-system-x86_64 busybox cpio setpriv; do
  command -v "$tool" >/dev/null || { echo "missing: $tool (see the top of $0)" >&2; exit 2; }
done
[ -x "$build/src/vitrine" ] || { echo "missing: $build/src/vitrine; run tests/run.sh first" >&2; exit 2; }

work=$(mktemp -d /var/tmp/vitrine-kernel-XXXXXX)
trap 'rm -rf "$work"' EXIT
image=$work/root

# --- the kernel: only its file is wanted, so the package is not installed

fetch_kernel() {
  local cache=$build/peers/kernel package
  kernel=$(find "$cache/boot" -name 'vmlinuz-6.1.*' 2>/dev/null | head -1) || true
  [ -n "$kernel" ] && return
  package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-6.1.*\)/\1/p')
  mkdir -p "$cache"
  (cd "$work" && apt-get download -qq "$package" && dpkg-deb -x linux-image-*.deb "$cache")
  kernel=$(ls "$cache"/boot/vmlinuz-6.1.*)
}
kernel=${KERNEL:-}
[ -n "$kernel" ] || fetch_kernel

# --- the initial file system: what the tests run, and the libraries of it

add() {  # a file at its own path, with what its links lead to
  local path=$1
  [ -e "$image$path" ] && return
  mkdir -p "$image$(dirname "$path")"
  cp -L "$path" "$image$path"
}

add_with_libraries() {
  local library
  add "$1"
  ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | sort -u | while read -r library; do add "$library"; done
}

fill_image() {
  mkdir -p "$image"/{bin,sbin,usr,proc,sys,dev,tmp,var/tmp,root,etc,work/build/src,home/vitrine-test}
  ln -s usr/lib "$image/lib" && ln -s usr/lib64 "$image/lib64"
  mkdir -p "$image"/usr/{lib,lib64,bin}
  cp "$(command -v busybox)" "$image/bin/busybox"
  local tool module
  for tool in sh mount mkdir cat poweroff uname ls echo true; do ln -s busybox "$image/bin/$tool"; done
  for tool in python3 setpriv env true; do add_with_libraries "/usr/bin/$tool"; done
  cp -a /usr/bin/python3.* "$image/usr/bin/"
  tar -C / --exclude=test --exclude=__pycache__ --exclude=config-3\* --exclude=lib2to3 \
    -cf - usr/lib/python3.11 usr/lib/python3/dist-packages 2>/dev/null | tar -C "$image" -xf - || true
  for module in /usr/lib/python3.11/lib-dynload/*.so; do add_with_libraries "$module"; done
  for tool in usr/lib/locale/C.utf8 usr/share/zoneinfo/Europe/Paris usr/lib/ssl etc/ssl/openssl.cnf; do
    [ -e "/$tool" ] || continue
    mkdir -p "$image/$(dirname $tool)" && cp -aL "/$tool" "$image/$tool"
  done
  cp -a "$root/tests" "$image/work/tests"
  cp "$build/src/vitrine" "$image/work/build/src/" && cp -a "$build/guests" "$image/work/build/"
  cp /etc/ld.so.cache /etc/nsswitch.conf "$image/etc/"
  printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'nobody:x:65534:65534::/:/bin/false' \
    'vitrine-test:x:1000:1000::/home/vitrine-test:/bin/sh' >"$image/etc/passwd"
  printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' 'vitrine-test:x:1000:' >"$image/etc/group"
  printf '%s\n' 'root:secret:1::::::' >"$image/etc/shadow" && chmod 600 "$image/etc/shadow"
}

write_init() {
  cat >"$image/init" <<'INIT'
#!/bin/sh
export PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=1777 tmp /var/tmp
export VITRINE=/work/build/src/vitrine GUESTS=/work/build/guests PYTHONPATH=/work/tests
export VITRINE_SLOW=$(cat /work/slow)
echo "== $(uname -r)"
$VITRINE doctor
status=$?
for suite in $(cat /work/suites); do
  echo "== $suite"
  cd "/work/tests/${suite%%.*}" && python3 -B -m unittest -v "${suite#*.}" 2>&1 || status=1
done
echo "== ended with $status"
poweroff -f
INIT
  chmod 755 "$image/init"
  echo "${suites[@]}" >"$image/work/suites"
  echo "$slow" >"$image/work/slow"
}

acceleration=(-accel "tcg,thread=multi" -cpu max)
slow=10
if [ -w /dev/kvm ] && grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then
  acceleration=(-accel kvm -cpu host)
  slow=1
fi

fill_image
write_init
(cd "$image" && find . -print0 | cpio --null --create --format=newc --owner=0:0 --quiet) |
  gzip -1 >"$work/initrd"

timeout "${LONGEST:-3600}" qemu-system-x86_64 "${acceleration[@]}" -smp 2 -m 2048 -nographic -no-reboot \
  -nic none -kernel "$kernel" -initrd "$work/initrd" -append 'console=ttyS0 quiet panic=-1' </dev/null |
  tr -d '\r' | tee "$work/console"
grep -qx '== ended with 0' "$work/console"
