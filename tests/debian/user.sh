#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a user does on a new machine, with Debian's own packages; each step has to leave it as it was.
# Started by tests/debian/__main__.py.
set -eu
export DEBIAN_FRONTEND=noninteractive
# shellcheck source=/dev/null
. /etc/os-release

step() { printf '\n== %s: %s\n' "$PRETTY_NAME" "$1"; }

install() { apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }

state() { # without lists, logs and caches
    dpkg --get-selections
    dpkg-divert --list
    find /etc /opt /root /usr /var -path /var/cache -prune -o -path /var/log -prune \
        -o -path /var/lib/apt -prune -o -path /var/lib/dpkg -prune -o -printf '%p %y %m %s %l\n' | sort
}

unchanged() {
    state | diff /tmp/before - || { echo "This was left behind."; exit 1; }
    same 'dpkg --verify' "$(dpkg --verify)" ''
}

nobody_else() { # the distribution's agent is not offered beside ours
    same 'agents of that name' "$(echo /usr/sbin/fence_ovh*)" /usr/sbin/fence_ovh
}

act() { # ACTION STATUS OPTION...: run the agent as a cluster does, and expect that exit status
    action=$1 expected=$2 status=0
    shift 2
    printf '%s\n' "action=$action" plug=ns1234 "$@" | fence_ovh || status=$?
    same "exit status of $action" "$status" "$expected"
}

same() { # WHAT FOUND EXPECTED
    test "$2" = "$3" || { echo "$1: $2, expected: $3"; exit 1; }
}

cuts() { # what the simulator's servers booted, in the order of their power cuts
    python3 -c 'import json, sys, urllib.request
state = json.load(urllib.request.urlopen(sys.argv[1] + "/state"))
print(*(cut["netboot"]["kernel"] for cut in state["power_cuts"]))' "$url"
}

fence() { # through both APIs
    mkfifo /tmp/url
    python3 -m tests.simulator --reboot-duration=2 --cut-delay=0.1 --boot-delay=0.1 >/tmp/url &
    exec 3</tmp/url # open until the end: the simulator writes more than the line wanted
    read -r url <&3
    rm /tmp/url
    booted=
    for keys in "login=ab12345-ovh passwd=secret api_url=$url" "$(rest_keys)"; do
        # shellcheck disable=SC2086  # words on purpose
        for step in 'off 0' 'status 2' 'on 0' 'status 0'; do act $step $keys; done
        booted="$booted rescue12-customer hd"
        same 'power cuts' " $(cuts)" "$booted"
    done
    kill $!
    wait $! || true
    exec 3<&-
}

rest_keys() {
    python3 -c 'from tests.simulator import APPLICATION_KEY, APPLICATION_SECRET, CONSUMER_KEY
print(f"login={APPLICATION_KEY} passwd={APPLICATION_SECRET} consumer_key={CONSUMER_KEY}")'
    echo "api_url=$url/1.0"
}

step "Debian's packages"
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d # no service may start
chmod 755 /usr/sbin/policy-rc.d
apt-get update -qq
install make python3 python3-suds dpkg-dev debhelper dh-python
case $VERSION_CODENAME in
    bookworm) install fence-agents ;; # all agents are one package
    *) install fence-agents-ovh ;;
esac
export PYTHONDONTWRITEBYTECODE=1
state >/tmp/before

step 'make install, make uninstall'
make -s install
nobody_else
fence
make -s uninstall
unchanged

step 'make deb, install, purge'
make deb >/dev/null
install ./dist/fence-ovh_*_all.deb
nobody_else
fence
apt-get purge -y -qq fence-ovh >/dev/null
unchanged

step 'a cluster'
install pacemaker pacemaker-cli-utils corosync pcs crmsh iproute2 iptables python3-pytest
python3 -m tests.cluster --junitxml=/tmp/cluster.xml
test -s /tmp/cluster.xml # or they were skipped
