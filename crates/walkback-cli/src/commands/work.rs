//! `work`: works on what is due in the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use walkback::describe::SagaView;
use walkback::store::{Filter, Lease};
use walkback::worker::{Hook, ProgramHook, Until};
use walkback::{Engine, Status};

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::labour::{Labour, News, who};
use crate::output;
use crate::webhook::Webhook;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback work
  walkback work --queue mail --queue default --concurrency 50
  walkback work --until-idle --log-level info
      Says what happens to every saga, and ends when nothing is left to do.
  walkback work --on-attention ./page-the-operator
  walkback work --on-attention https://example.com/hook
  walkback work --store postgres://walkback@db.example/sagas

At SIGINT or SIGTERM what is under way is handed over at once, and the next worker goes on with it. \
On SQLite one process works at a time: a second one says who works and waits for its turn. On \
PostgreSQL any number do, on any number of machines; what a dead one had under way others take over \
within 10 seconds, with --fast within 3.

Whoever is named by --on-attention is told of every saga that parks or ends with something left:
a program gets a JSON document on its stdin; a URL gets it posted, signed as Standard Webhooks \
says, with the secret in WALKBACK_WEBHOOK_SECRET (whsec_…). A program that does not end with 0 \
and a URL that does not answer with 2xx are tried again. What became of it is in the ledger.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// How many sagas to hold in memory at once; waiting ones do not count.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = runs)]
    concurrency: usize,
    /// Take sagas of this queue only; may be said several times. All if none is named.
    #[arg(long = "queue", value_name = "QUEUE")]
    queues: Vec<String>,
    /// On PostgreSQL: count as dead after 2 seconds of silence and not after 6, and say so often.
    #[arg(long)]
    fast: bool,
    /// On PostgreSQL: listen to no hints, for which a connection is kept; look by itself.
    #[arg(long)]
    no_listen: bool,
    /// End when nothing is left that moves by itself.
    #[arg(long)]
    until_idle: bool,
    /// Who is told of every saga that needs a person.
    #[arg(long, value_name = "PROGRAM|URL", env = "WALKBACK_ON_ATTENTION")]
    on_attention: Option<String>,
}

const SECRET: &str = "WALKBACK_WEBHOOK_SECRET";

/// The program or webhook of this name.
fn hook(named: &str) -> Result<Arc<dyn Hook>, String> {
    if named.starts_with("https://") || named.starts_with("http://") {
        let secret = std::env::var(SECRET)
            .map_err(|_| format!("{SECRET} is not set: a webhook is signed with it"))?;
        let hook = Webhook::new(named, &secret).map_err(|why| format!("{named}: {why}"))?;
        return Ok(Arc::new(hook));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|_| !named.contains('/'));
    let mut places = folders.chain([PathBuf::new()]).map(|folder| folder.join(named));
    if !places.any(|place| place.is_file()) {
        return Err(format!("`{named}` is not there: expected a program, or a URL with https://"));
    }
    Ok(Arc::new(ProgramHook::new(named)))
}

fn runs(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|runs| *runs > 0)
        .ok_or_else(|| "expected a number from 1 on".to_owned())
}

/// How often to look for what is awaited.
const LOOK: Duration = Duration::from_secs(5);

/// Says, whenever everything waits, until when: what ends when it is idle could take days. Never ends.
async fn say_what_is_awaited(engine: &Engine) {
    let mut said = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let statuses = vec![Status::Pending, Status::Running, Status::Compensating];
        let moving = Filter { statuses, limit: 100, ..Filter::default() };
        // What is wrong with the store is the worker's to say.
        let Ok(sagas) = engine.list_sagas(moving).await else { continue };
        let due = |saga: &SagaView| saga.waiting_for.as_ref().and_then(|waiting| waiting.until);
        let works = sagas.iter().any(|saga| saga.waiting_for.is_none());
        let waiting = sagas.iter().filter_map(|saga| Some((due(saga)?, saga)));
        let Some((until, next)) = waiting.min_by_key(|(until, _)| *until) else { continue };
        if works || until <= output::time::now().plus(LOOK) {
            continue;
        }
        if said.replace((next.id, until)) != Some((next.id, until)) {
            let (kind, id) = (&next.kind, next.id);
            let until = output::time::until(until);
            // Or earlier, if somebody sends or approves it.
            let said = match next.waiting_for.as_ref().map(|waiting| waiting.what) {
                Some(what @ ("signal" | "approval")) => format!("waits for a {what}, until"),
                _ => "goes on".to_owned(),
            };
            eprintln!("waits for {kind} {id}, which {said} {until}");
        }
    }
}

pub(crate) async fn run(app: &App, args: WorkArgs) -> Outcome {
    let hook = args.on_attention.as_deref().filter(|named| !named.is_empty()).map(hook);
    let hook = hook
        .transpose()
        .map_err(|why| Failure::new(Exit::Usage, format!("--on-attention: {why}")))?;
    let engine = app.working_engine(!args.no_listen)?;
    let lease = if args.fast { Lease::Fast } else { Lease::Usual };
    let until = if args.until_idle { Until::Idle } else { Until::Stopped };
    let concurrency = Some(args.concurrency);
    let labour = Labour { concurrency, queues: args.queues, lease, until, hook };
    let tell = |news| match news {
        News::Works => {
            let without = if app.has_account() { "" } else { " without an account" };
            eprintln!("working on {}{without}, as process {}", app.place, std::process::id());
        }
        News::Waits(by) => {
            eprintln!("{} works on {}: waiting for its turn", who(by.as_ref()), app.place);
        }
    };
    tokio::select! {
        ended = labour.work(&engine, app.stop.clone(), tell) => ended?,
        () = say_what_is_awaited(&engine), if args.until_idle => {}
    }
    if app.stop.is_cancelled() {
        eprintln!(
            "interrupted: what was under way is handed over; `walkback work` goes on with it"
        );
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::Done)
}
