//! Structured logs on stderr: every line has the run, and inside a body its step and attempt.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Global, LogForm};
use crate::output::live;

/// Logs from here on.
pub(crate) fn begin(global: &Global) {
    let level = LevelFilter::from(global.log_level);
    let wanted = Targets::new().with_target("walkback", level);
    let registry = tracing_subscriber::registry().with(wanted);
    let layer = fmt::layer().with_writer(|| Stderr).with_ansi(false).with_target(false);
    let begun = match global.log {
        LogForm::Text => registry.with(layer).try_init(),
        LogForm::Json => {
            let json = layer.json().flatten_event(true).with_current_span(true);
            registry.with(json.with_span_list(false)).try_init()
        }
    };
    if let Err(error) = begun {
        eprintln!("error: logs: {error}");
    }
}

/// Stderr, above the live view where one is drawn.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        live::beside(|| io::stderr().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
