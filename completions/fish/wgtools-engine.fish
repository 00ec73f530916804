# SPDX-License-Identifier: MIT
# fish completion for wgtools-engine(8).  The name is a new one: nothing to offer for it.

complete -c wgtools-engine -f
complete -c wgtools-engine -s f -l foreground -d 'Stay in the foreground'
complete -c wgtools-engine -s h -l help -d 'Say how it is used'
complete -c wgtools-engine -l version -d 'Print the version'
