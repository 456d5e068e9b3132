//! What goes to stdout: tables for people, documents for programs.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::args::Global;
use crate::failure::Failure;

pub(crate) mod document;
pub(crate) mod explanation;
pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod plan;
pub(crate) mod saga;
pub(crate) mod schema;
pub(crate) mod steps;
pub(crate) mod table;
pub(crate) mod time;

/// Stdout, and what is known of who reads it.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    /// A program reads: documents only.
    pub(crate) json: bool,
    /// A terminal that can draw again over what it drew.
    pub(crate) live: bool,
    /// Colours may be used.
    pub(crate) colour: bool,
    /// Columns of the terminal, if it is one.
    pub(crate) width: Option<usize>,
    /// Its rows.
    pub(crate) height: usize,
}

impl Out {
    /// As the options and the terminal say.
    pub(crate) fn new(global: &Global) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stdout().is_terminal() && !global.json;
        let size = terminal_size::terminal_size().filter(|_| terminal);
        Self {
            json: global.json,
            live: terminal && !dumb,
            colour: terminal && !dumb && !global.no_color && !set("NO_COLOR"),
            width: size.map(|(width, _)| usize::from(width.0)),
            height: size.map_or(24, |(_, height)| usize::from(height.0)),
        }
    }

    /// Writes a line.
    #[expect(clippy::unused_self, reason = "whoever writes has to have it")]
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(stdout.flush()?)
    }

    /// Writes a document, on one line.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        self.line(&serde_json::to_string(document)?)
    }

    /// `text` less bright, where that can be shown.
    pub(crate) fn dim(&self, text: &str) -> String {
        if self.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// `text` brighter, where that can be shown.
    pub(crate) fn bold(&self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `1 saga`, `3 sagas`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
