#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The first process of a node, in namespaces of its own: its death is a power cut.
# Its disk is a folder; its memory (/run, /dev/shm) is lost with it.
set -e
disk=$1 name=$2 address=$3

hostname "$name"
for folder in etc root usr var; do
    mount --bind "$disk/$folder" "/$folder"
done
# What must not reach the machine: its log, watchdog and reset button (Pacemaker knows all three).
for entry in /proc/sysrq-trigger /proc/sys/kernel/sysrq; do
    [ ! -e "$entry" ] || mount --bind /dev/null "$entry"
done
mount -t tmpfs run /run
mkdir -p /run/dev /run/lock /run/crm /run/pacemaker
chown hacluster:haclient /run/crm /run/pacemaker
mount -t tmpfs dev /run/dev
for entry in full null random tty urandom zero; do
    touch "/run/dev/$entry"
    mount --bind "/dev/$entry" "/run/dev/$entry"
done
mkdir -m 1777 /run/dev/shm
mkdir /run/dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts /run/dev/pts
ln -s pts/ptmx /run/dev/ptmx
ln -s /proc/self/fd /run/dev/fd
mount --move /run/dev /dev

read -r _ # The cable is plugged in.
ip link set lo up
ip address add "$address/24" dev eth0
ip link set eth0 up

corosync -f &
until corosync-cfgtool -s >/dev/null 2>&1; do sleep 0.1; done
PCMK_logfile=/var/log/pacemaker/pacemaker.log pacemakerd -f &
# In the foreground, so that the shell hears of every orphan that ends.
sleep infinity
