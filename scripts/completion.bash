# completion.bash - completion of agent-actions' commands, tools and options in bash. Installed as
# share/bash-completion/completions/agent-actions. zsh reads it too: autoload -U +X bashcompinit && bashcompinit
#
# What there is to complete is read from --help, so that it is never behind the program.

# The commands and tools of the general help.
_agent_actions_commands() { # PROGRAM
    "$1" --help 2>/dev/null | awk '
        /^Commands:/ { inside = 1; next }
        !NF { inside = 0 }
        inside { print $1 }
        /^Tools/ { sub(/.*: /, ""); gsub(/,/, ""); print }'
}

_agent_actions_options() { # PROGRAM [COMMAND]
    { "$@" --help 2>/dev/null && printf '\n --help\n'; } |
        grep -oE -- '(^|[^[:alnum:]-])--?[[:alpha:]][[:alnum:]-]*' |
        grep -oE -- '--?[[:alpha:]][[:alnum:]-]*' | sort -u
}

_agent_actions() {
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous='' words=''
    ((COMP_CWORD == 0)) || previous=${COMP_WORDS[COMP_CWORD - 1]}
    if ((COMP_CWORD == 1)); then
        [[ $current == -* ]] || words=$(_agent_actions_commands "$program")
        [[ $current != -* ]] || words=$(_agent_actions_options "$program")
    elif [[ $previous == --action-type ]]; then
        words='tool_call decision error success'
    elif [[ $current == -* ]]; then
        words=$(_agent_actions_options "$program" "${COMP_WORDS[1]}")
    fi
    # No words: files, by `-o default`.
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -o default -F _agent_actions agent-actions
