# Ends what a dead supervisor left behind. The supervisor writes the ids of its process groups, one line after each
# change, the last one empty. When the pipe closes after a line with ids, the supervisor was killed.
left=
while read -r line; do left=$line; done
[ -n "$left" ] || exit 0

signal_all() { for id in $left; do kill -s "$1" -- "-$id" 2>/dev/null; done; }
some_live() { for id in $left; do kill -s 0 -- "-$id" 2>/dev/null && return 0; done; return 1; }

signal_all TERM
for _ in 1 2 3; do some_live || exit 0; sleep 1; done
signal_all KILL
