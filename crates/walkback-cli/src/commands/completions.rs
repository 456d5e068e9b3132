//! `completions`: a script that completes this command in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::commands::Outcome;
use crate::exit::Exit;
use crate::output::Out;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback completions bash > ~/.local/share/bash-completion/completions/walkback
  walkback completions zsh > ~/.zfunc/_walkback
  walkback completions fish > ~/.config/fish/completions/walkback.fish";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, out: &Out) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "walkback", &mut script);
    out.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}
