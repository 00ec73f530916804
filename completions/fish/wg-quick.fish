# SPDX-License-Identifier: MIT
# fish completion for wg-quick(8).
# The command is the one that this file is called like: packages have it as wgtools-wg-quick too.

function __wgtools_quick_configurations -d 'A directory that cannot be listed holds nothing'
    set -l places /etc/wireguard
    contains (uname) FreeBSD Darwin; and set -a places /usr/local/etc/wireguard
    for place in $places
        for file in $place/*.conf
            string replace -r '.*/(.*)\.conf$' '$1' -- $file
        end
    end | string match -r '^[a-zA-Z0-9_=+.-]{1,15}$'
end

function __wgtools_quick_running
    # There, the system's name of an interface is not what `down` wants.
    if contains (uname) OpenBSD Darwin
        __wgtools_quick_configurations
    else
        set -l typed (string replace -r '.*/' '' -- (commandline -opc)[1])
        set -l program wg
        string match -q 'wgtools-*' -- $typed; and set program wgtools-wg
        command $program show interfaces 2>/dev/null | string split -n ' ' \
            | string match -r '^[a-zA-Z0-9_=+.-]{1,15}$'
    end
end

# `up` wants its engine in the same word.
function __wgtools_quick_values
    string match -q -- '-*' (commandline -ct); and printf '%s\n' $argv
end

function __wgtools_quick
    set -l words (commandline -opc)[2..]
    set -l verb $words[1]
    if not set -q words[1]
        printf '%s\t%s\n' \
            up 'bring an interface up' \
            down 'take it down again' \
            save 'write the running interface back to its file' \
            strip 'print the file for wg' \
            plan 'tell what up or reload would do' \
            reload 'bring a running interface to its file' \
            check 'look for mistakes in files' \
            status 'tell what is up'
        test (uname) = Linux; or printf '%s\t%s\n' monitor 'follow the routes to endpoints'
        return
    end
    if test $verb != check
        for word in $words
            string match -q -- '-*' $word; or test $word = $verb; or return
        end
    end
    string match -q -- '-*' (commandline -ct); and return
    switch $verb
        case up plan strip check
            __wgtools_quick_configurations
        case down save reload status monitor
            __wgtools_quick_running
        case '*'
            return
    end
    if string match -q '*/*' -- (commandline -ct); or test $verb = check
        __fish_complete_suffix .conf
    end
end

function __wgtools_quick_verb
    set -l words (commandline -opc)
    contains -- "$words[2]" $argv
end

set -l command (string replace -r '^.*/(.*)\.fish$' '$1' -- (status filename))
complete -c $command -f -a '(__wgtools_quick)'
complete -c $command -n 'test (count (commandline -opc)) = 1' -s h
complete -c $command -n 'test (count (commandline -opc)) = 1; or __wgtools_quick_verb plan reload check status' \
    -l help -d 'Say how it is used'
complete -c $command -n '__wgtools_quick_verb up plan' \
    -a '(__wgtools_quick_values --engine={auto,kernel,embedded,wireguard-go})' -d 'Who carries it'
complete -c $command -n '__wgtools_quick_verb up' -l strict -d 'Make errors of warnings'
complete -c $command -n '__wgtools_quick_verb up' -l dry-run -d 'Only tell'
complete -c $command -n '__wgtools_quick_verb plan' -l up -d 'Only what up would do'
complete -c $command -n '__wgtools_quick_verb plan reload check status' -l json -d 'For programs'
complete -c $command -n '__wgtools_quick_verb check' -d 'Leave out a remark' -a '(
    __wgtools_quick_values --ignore={endpoint-inside,file-name,hook,host-bits,key,key-reused} \
        --ignore={missing-address,missing-allowed-ips,missing-key,no-section,not-text,overlap,own-key} \
        --ignore={repeated,setting,syntax,unknown-key,unknown-section,unreachable,unreadable} \
        --ignore=world-readable)'
