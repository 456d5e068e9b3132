//! `run`: starts a saga and works on it here until it is at rest.

use std::pin::pin;

use clap::Args;
use walkback::store::Lease;
use walkback::{Error, SagaId, describe::SagaView, worker::Until};

use crate::cloud::NO_ACCOUNT;
use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::{Ended, Show, follow};
use crate::labour::{Labour, News, who};
use crate::order::OrderArgs;
use crate::output::{live, saga};

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback run --steps echo,echo,echo --input '{\"message\": \"hello\"}'
  walkback run --steps echo,echo,fail
  walkback run --file examples/hello.yaml --label customer=acme --key order-42
  walkback run --file examples/hello.yaml --input @order.json --json
  walkback run provision --input @examples/site.yaml --simulate

Everything that is due in the store is worked on meanwhile. If another process works on the store, \
this one starts the saga and watches; it takes over if the other goes away.
Ends with 0 completed, 1 rolled back, 3 failed or parked, 130 interrupted.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Keep on waiting where the saga is parked until a person decides.
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn run(app: &App, args: RunArgs) -> Outcome {
    let order = args.order.order()?;
    let engine = app.working_engine(true)?;
    let started = match engine.start_saga(order.clone()).await {
        // Only what needs an account is known with one alone.
        Err(Error::Mistakes(_)) if !app.has_account() => {
            app.plan(order)?;
            return Err(Failure::new(Exit::Store, NO_ACCOUNT));
        }
        started => started?,
    };
    if !started.created {
        eprintln!("its key is known: this is the saga that has it, {}", started.id);
    }
    let show = if app.out.json { Show::Nothing } else { Show::for_people(&app.out) };
    let leave = app.stop.child_token();
    let (queues, lease, until) = (Vec::new(), Lease::Usual, Until::Stopped);
    let labour = Labour { concurrency: None, queues, lease, until, hook: None };
    let labour = labour.work(&engine, leave.clone(), |news| {
        if let News::Waits(by) = news {
            live::say(&format!("{} works on this store: watching", who(by.as_ref())));
        }
    });
    let mut labour = pin!(labour);
    let mut followed = pin!(follow(&engine, started.id, show, args.wait, &app.stop));
    let ended = tokio::select! {
        ended = &mut followed => {
            leave.cancel();
            labour.await?;
            ended?
        }
        worked = &mut labour => {
            worked?;
            followed.await?
        }
    };
    match ended {
        Ended::AtRest(view) => {
            tell(app, &view, true)?;
            if !app.out.json {
                let provisioned = engine.list_provisioned(Some(view.id)).await?;
                let lines = saga::result(&view, &provisioned, &app.out);
                lines.iter().try_for_each(|line| app.out.line(line))?;
            }
            Ok(view.status.into())
        }
        Ended::Interrupted => interrupted(app, &engine.show_saga(started.id).await?),
    }
}

/// Says how the saga stands: in full for a program, in short for people, who saw the rest.
pub(crate) fn tell(app: &App, view: &SagaView, document: bool) -> Result<(), Failure> {
    if app.out.json {
        return if document { app.out.json(view) } else { Ok(()) };
    }
    app.out.line("")?;
    saga::summary(view, &app.out).iter().try_for_each(|line| app.out.line(line))
}

fn interrupted(app: &App, view: &SagaView) -> Outcome {
    if app.out.json {
        app.out.json(view)?;
    }
    say_how_to_go_on(view.id);
    Ok(Exit::Interrupted)
}

fn say_how_to_go_on(id: SagaId) {
    eprintln!("interrupted: saga {id} is handed over; `walkback work` goes on with it");
}
