#!/usr/bin/env bash
# Starts a container of the test, as `pct start` would: a root of its own, and namespaces of its own for mounts,
# processes, network, host name and shared memory, in which whatever runs ends when its first process ends.
#
# container.sh LAB NUMBER: LAB/NUMBER is its root, LAB/NUMBER.pid gets its first process when it is up, LAB/packages is lent to it.
# On the network between it and its host, the host is 10.213.0.1 and the container has the last octet NUMBER - 900.
set -euo pipefail

lab=$1 number=$2 root=$1/$2

if [[ ${3-} != inside ]]; then
  exec unshare --mount --pid --net --uts --ipc --fork --kill-child "$0" "$lab" "$number" inside
fi

# Read through the host's own /proc, this is the number that the host knows us by.
read -r pid _ </proc/self/stat

hostname "ct$number"
mount --bind "$root" "$root"
mount --bind --options ro "$lab/packages" "$root/srv/packages"
mount --types tmpfs --options mode=0755,nosuid tmpfs "$root/run"
mount --types tmpfs --options mode=1777 tmpfs "$root/tmp"
mount --types tmpfs --options mode=0755,nosuid tmpfs "$root/dev"
mkdir "$root/dev/shm" "$root/dev/pts" "$root/run/lock"
mount --types devpts --options newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
chmod 1777 "$root/dev/shm" "$root/run/lock"
for device in null zero full random urandom tty; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

ip link set lo up
# The first 1 is the host's, by its /proc; the second is ours, by our own namespace.
nsenter --target 1 --net -- ip link add "ct$number" type veth peer name eth0 netns 1
ip address add "10.213.0.$((number - 900))/24" dev eth0
ip link set eth0 up
nsenter --target 1 --net -- ip address add "10.213.0.1/32" peer "10.213.0.$((number - 900))/32" dev "ct$number"
nsenter --target 1 --net -- ip link set "ct$number" up

mount --types proc proc "$root/proc"
exec 8>"$lab/$number.pid"
cd "$root"
pivot_root . mnt
cd /
umount --lazy /mnt
# What the boot of a container does for services that keep folders below /run; nothing else of systemd runs here.
systemd-tmpfiles --create --exclude-prefix=/dev --exclude-prefix=/proc --exclude-prefix=/sys >/dev/null 2>&1 || true
# Not before, for whoever enters shall find nothing of the host.
echo "$pid" >&8
exec 8>&- </dev/null >/dev/null 2>&1
exec chroot / /bin/bash -c 'trap : TERM; while :; do sleep infinity & wait; done'
