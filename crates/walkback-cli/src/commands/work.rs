//! `work`: works on what is due in the store.

use clap::Args;
use walkback::worker::Until;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::labour::{Labour, News, who};

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback work
  walkback work --queue mail --queue default --concurrency 50
  walkback work --until-idle

At SIGINT or SIGTERM what is under way is handed over at once, and the next worker goes on with it.
On SQLite one process works at a time: a second one says who works and waits for its turn.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// How many sagas to hold in memory at once; waiting ones do not count.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = runs)]
    concurrency: usize,
    /// Take sagas of this queue only; may be said several times. All if none is named.
    #[arg(long = "queue", value_name = "QUEUE")]
    queues: Vec<String>,
    /// End when nothing is left that moves by itself.
    #[arg(long)]
    until_idle: bool,
}

fn runs(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|runs| *runs > 0)
        .ok_or_else(|| "expected a number from 1 on".to_owned())
}

pub(crate) async fn run(app: &App, args: WorkArgs) -> Outcome {
    let engine = app.engine()?;
    let until = if args.until_idle { Until::Idle } else { Until::Stopped };
    let labour = Labour { concurrency: Some(args.concurrency), queues: args.queues, until };
    let tell = |news| match news {
        News::Works => eprintln!("working on {}, as process {}", app.place, std::process::id()),
        News::Waits(by) => {
            eprintln!("{} works on {}: waiting for its turn", who(by.as_ref()), app.place);
        }
    };
    labour.work(&engine, app.stop.clone(), tell).await?;
    if app.stop.is_cancelled() {
        eprintln!(
            "interrupted: what was under way is handed over; `walkback work` goes on with it"
        );
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::Done)
}
