# SPDX-License-Identifier: MIT
# fish completion for wg(8).
# The command is the one that this file is called like: packages have it as wgtools-wg too.

function __wgtools_wg_run
    set -l typed (string replace -r '.*/' '' -- (commandline -opc)[1])
    set -l program wg
    string match -q 'wgtools-*' -- $typed; and set program wgtools-wg
    command $program $argv 2>/dev/null
end

function __wgtools_wg_interfaces
    __wgtools_wg_run show interfaces | string split -n ' '
end

function __wgtools_wg_set -d 'What may follow `wg set INTERFACE`'
    set -l interface $argv[1]
    set -l words $argv[2..]
    set -l used
    set -l inside 0
    while set -q words[1]
        set -l word $words[1]
        if test "$word" = remove
            set -e words[1]
        else if not set -q words[2]
            switch $word
                case private-key preshared-key
                    __fish_complete_path (commandline -ct)
                case fwmark persistent-keepalive
                    echo off
                case peer
                    __wgtools_wg_run show $interface peers
            end
            return
        else
            set -e words[1..2]
        end
        set -a used $word
        if test "$word" = peer
            set used
            set inside 1
        end
    end
    set -l settings \
        listen-port\t'the UDP port to receive on' \
        fwmark\t'the mark of outgoing packets' \
        private-key\t'a file with the key of this side' \
        peer\t'turn to a peer'
    if test $inside = 1
        set settings \
            preshared-key\t'a file with a key that both sides share' \
            endpoint\t'HOST:PORT to send to' \
            persistent-keepalive\t'seconds between packets that keep a NAT open' \
            allowed-ips\t'networks behind this peer' \
            remove\t'remove this peer' \
            peer\t'turn to another peer'
    end
    for setting in $settings
        contains -- (string split \t $setting)[1] $used; or echo $setting
    end
end

function __wgtools_wg
    set -l words (commandline -opc)[2..]
    set -l count (count $words)
    switch "$words[1]:$count"
        case ':0'
            printf '%s\t%s\n' \
                show 'look at interfaces' \
                showconf 'print an interface as a configuration' \
                set 'change settings and peers' \
                setconf 'make an interface what a file says' \
                addconf 'add what a file says' \
                syncconf 'like setconf, without disturbing sessions' \
                genkey 'print a new private key' \
                genpsk 'print a new preshared key' \
                pubkey 'read a private key, print its public key'
        case show:1
            printf '%s\n' all interfaces
            __wgtools_wg_interfaces
        case show:2
            test "$words[2]" = interfaces
            or printf '%s\n' public-key private-key listen-port fwmark peers preshared-keys \
                endpoints allowed-ips latest-handshakes transfer persistent-keepalive dump
        case showconf:1 set:1 setconf:1 addconf:1 syncconf:1
            __wgtools_wg_interfaces
        case setconf:2 addconf:2 syncconf:2
            __fish_complete_path (commandline -ct)
        case 'set:*'
            __wgtools_wg_set $words[2..]
    end
end

set -l command (string replace -r '^.*/(.*)\.fish$' '$1' -- (status filename))
complete -c $command -f -a '(__wgtools_wg)'
complete -c $command -n 'test (count (commandline -opc)) = 1' -s h -l help -d 'Say how it is used'
complete -c $command -n 'test (count (commandline -opc)) = 1' -s v -l version -d 'Print the version'
