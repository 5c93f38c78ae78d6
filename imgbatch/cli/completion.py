"""`imgbatch completion`, and how shells and this command talk.

click does the work. Its own scripts split words at colons (bash) or values at commas (fish), which
`--filter sharpen:amount=0.5,…` has; these hand over the line up to the cursor instead, and leave no
space after what goes on.
"""

from __future__ import annotations

import os
import re
from typing import Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from imgbatch.cli import COMPLETING
from imgbatch.cli.output import tell_verbatim

_LINE: Final = "COMP_LINE"
_WORD: Final = "COMP_WORD"

_BASH: Final = """\
%(complete_func)s() {
    local response type value
    response=$(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORD="${COMP_WORDS[COMP_CWORD]}" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *[:=,] ]] && compopt -o nospace 2>/dev/null
                ;;
        esac
    done <<< "$response"
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""

_ZSH: Final = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a values shown open open_shown response
    local type value help display
    (( ! $+commands[%(prog_name)s] )) && return 1

    response=("${(@f)$(env COMP_LINE="${words[1,CURRENT-1]} ${PREFIX}" \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")

    for type value help in ${response}; do
        display="$value"
        [[ "$help" != "_" ]] && display="$value  -- $help"
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain)
                if [[ "$value" == *[:=,] ]]; then
                    open+=("$value"); open_shown+=("$display")
                else
                    values+=("$value"); shown+=("$display")
                fi
                ;;
        esac
    done

    (( $#open )) && compadd -U -V open -S '' -l -d open_shown -a open
    (( $#values )) && compadd -U -V values -l -d shown -a values
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH: Final = """\
function %(complete_func)s
    set -l response (env COMP_LINE=(commandline -cp | string collect) \\
        %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
    for completion in $response
        set -l parts (string split -m 1 "," -- $completion)
        switch $parts[1]
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
            case plain
                echo $parts[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _ByLine(ShellComplete):
    """Takes the words from the line up to the cursor, if the script gives that."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get(_LINE)
        if line is None:
            return super().get_completion_args()
        # The letter shows whether the last word has ended, whatever quotes are open.
        *words, last = split_arg_string(f"{line}x")
        return words[1:], last[:-1]

    def source(self) -> str:
        return self.source_template % self.source_vars()


class Bash(_ByLine, BashComplete):
    """bash, which replaces only what follows the last colon or equals sign of a word."""

    source_template = _BASH

    def format_completion(self, item: CompletionItem[str]) -> str:
        word = os.environ.get(_WORD)
        if word is None:
            return super().format_completion(item)
        quoted = word[:1] in ("'", '"')
        _, incomplete = self.get_completion_args()
        typed = word[1:] if quoted else "" if word in (":", "=") else word
        kept = incomplete.removesuffix(typed) if incomplete.endswith(typed) else ""
        value = item.value.removeprefix(kept)
        if item.type == "plain" and not quoted:
            value = re.sub(r"""([\s'"\\$&;()<>|*?`!#\[\]{}])""", r"\\\1", value)
        return f"{item.type},{value}"


class Zsh(_ByLine, ZshComplete):
    """zsh; the script shows helps by itself, so that no colon needs escaping."""

    source_template = _ZSH

    def format_completion(self, item: CompletionItem[str]) -> str:
        return f"{item.type}\n{item.value}\n{item.help or '_'}"


class Fish(_ByLine, FishComplete):
    """fish, which leaves no space after `:`, `=` and `,` by itself."""

    source_template = _FISH


_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def answer(group: click.Command, request: str) -> int:
    """Answer a shell, as click would in bytes; `request` is bash_complete, say."""
    shell, _, wanted = request.partition("_")
    told = wanted == "source" or not os.environ.keys().isdisjoint({_LINE, "COMP_WORDS"})
    if shell not in _SHELLS or wanted not in ("complete", "source") or not told:
        return 1
    asked = _SHELLS[shell](group, {}, "imgbatch", COMPLETING)
    tell_verbatim(asked.source() if wanted == "source" else f"{asked.complete()}\n")
    return 0


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_SHELLS)))
def command(shell: str) -> None:
    """Print a script that lets a shell complete commands, options and their values.

    \b
    bash: imgbatch completion bash > ~/.local/share/bash-completion/completions/imgbatch
    zsh:  imgbatch completion zsh > "${fpath[1]}/_imgbatch"
    fish: imgbatch completion fish > ~/.config/fish/completions/imgbatch.fish
    """
    group = click.get_current_context().find_root().command
    tell_verbatim(_SHELLS[shell](group, {}, "imgbatch", COMPLETING).source())
