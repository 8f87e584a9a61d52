#compdef deform

_deform_completion() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _DEFORM_COMPLETE=complete_zsh deform)
}

compdef _deform_completion deform
