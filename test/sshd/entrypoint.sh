#!/bin/sh
# Puts the mounted files where sshd wants them, owned by root, and runs sshd in the foreground.
set -eu
chmod 755 / # a base image made from an archive may have a root directory that only root may enter
rm -f /etc/ssh/ssh_host_*
install -m 600 /config/ssh_host_*_key /etc/ssh/
install -m 644 /config/authorized_keys /etc/ssh/authorized_keys/tunnel
install -m 644 /config/*.conf /etc/ssh/sshd_config.d/
[ ! -f /config/max_open_files ] || ulimit -n "$(cat /config/max_open_files)"

# Not exec: the first process of a container can be neither stopped nor killed by a signal from within.
/usr/sbin/sshd -D -e &
trap 'kill $!' TERM INT
wait $!
