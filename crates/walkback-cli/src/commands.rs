//! The verbs, each in a file of its own.

use tokio_util::sync::CancellationToken;
use walkback::describe::PlanView;
use walkback::{Engine, MemoryStore, Order, Registry};
use walkback_digitalocean::Client;

use crate::args::{Cli, Command};
use crate::cloud::CloudArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::Out;
use crate::store::{self, Place};

pub(crate) mod ask;
pub(crate) mod attention;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod kinds;
pub(crate) mod ledger;
pub(crate) mod list;
pub(crate) mod migrate;
pub(crate) mod operator;
pub(crate) mod plan;
pub(crate) mod provisioned;
pub(crate) mod prune;
pub(crate) mod resources;
pub(crate) mod restored;
pub(crate) mod run;
pub(crate) mod show;
pub(crate) mod simulate;
pub(crate) mod start;
pub(crate) mod steps;
pub(crate) mod sync;
pub(crate) mod upgrade_check;
pub(crate) mod verify;
pub(crate) mod watch;
pub(crate) mod work;
pub(crate) mod workers;

/// How a command ended.
pub(crate) type Outcome = Result<Exit, Failure>;

/// What every command has at hand.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// Where sagas are kept.
    pub(crate) place: Place,
    /// The account that they work on.
    cloud: CloudArgs,
    /// Stdout.
    pub(crate) out: Out,
    /// Cancelled when somebody interrupts.
    pub(crate) stop: CancellationToken,
}

impl App {
    /// The engine over a store that is there already, to ask and to tell.
    ///
    /// # Errors
    /// If it was named and is not there, or cannot be used.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        self.place.must_be_there()?;
        self.new_engine()
    }

    /// The engine over the store, which is made if it is not there.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub(crate) fn new_engine(&self) -> Result<Engine, Failure> {
        self.engine_with(registry_of, true)
    }

    /// The engine of a process that works, which may listen to hints: without an account it does not know,
    /// and so does not take, what needs one.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub(crate) fn working_engine(&self, listens: bool) -> Result<Engine, Failure> {
        let has_account = self.has_account();
        let known = |account: &Client| {
            if has_account { registry_of(account) } else { Registry::with_builtins() }
        };
        self.engine_with(known, listens)
    }

    fn engine_with(
        &self,
        known: impl FnOnce(&Client) -> Registry,
        listens: bool,
    ) -> Result<Engine, Failure> {
        let account = self.account()?;
        let engine = store::open(&self.place, known(&account), listens)?;
        account.share_budget(engine.shared_store());
        Ok(engine)
    }

    /// The steps and kinds of this binary.
    ///
    /// # Errors
    /// If what is said of the account is wrong.
    pub(crate) fn registry(&self) -> Result<Registry, Failure> {
        Ok(registry_of(&self.account()?))
    }

    /// What the order would do; nothing is stored.
    ///
    /// # Errors
    /// Every mistake in it.
    pub(crate) fn plan(&self, order: Order) -> Result<PlanView, Failure> {
        Ok(Engine::new(self.registry()?, MemoryStore::new())?.plan(order)?)
    }

    /// Whether it is said which account that is.
    pub(crate) fn has_account(&self) -> bool {
        self.cloud.is_given()
    }

    /// The account that sagas work on.
    ///
    /// # Errors
    /// If what is said of it is wrong.
    pub(crate) fn account(&self) -> Result<Client, Failure> {
        self.cloud.client(&self.place)
    }
}

fn registry_of(account: &Client) -> Registry {
    walkback_digitalocean::sagas::add(Registry::with_builtins(), account)
}

/// Does what the command line says, until it is done or somebody interrupts.
pub(crate) async fn dispatch(cli: Cli) -> Outcome {
    let out = Out::new(&cli.global);
    if let Command::Completions(args) = cli.command {
        return completions::run(&args, &out);
    }
    let place = store::choose(cli.global.store.as_deref())?;
    let app = App { place, cloud: cli.cloud, out, stop: CancellationToken::new() };
    // These have something to hand over or to say when they are interrupted.
    let graceful = matches!(cli.command, Command::Run(_) | Command::Work(_) | Command::Watch(_));
    tokio::select! {
        // First, so that signals are listened for before anything is said or done.
        biased;
        () = interrupt::watch(&app.stop, graceful) => Ok(Exit::Interrupted),
        ended = perform(&app, cli.command) => ended,
    }
}

async fn perform(app: &App, command: Command) -> Outcome {
    match command {
        Command::Run(args) => run::run(app, *args).await,
        Command::Start(args) => start::run(app, *args).await,
        Command::Work(args) => work::run(app, args).await,
        Command::Workers => workers::run(app).await,
        Command::List(args) => list::run(app, args).await,
        Command::Show(args) => show::run(app, args).await,
        Command::Ledger(args) => ledger::run(app, args).await,
        Command::Watch(args) => watch::run(app, args).await,
        Command::Operator(verb) => operator::run(app, verb).await,
        Command::Explain(args) => explain::run(app, args).await,
        Command::Attention(args) => attention::run(app, args).await,
        Command::Diff(args) => diff::run(app, args).await,
        Command::Plan(args) => plan::run(app, *args).await,
        Command::Kinds => kinds::run(app),
        Command::Steps => steps::run(app),
        Command::Verify(args) => verify::run(app, args).await,
        Command::Bench(args) => bench::run(app, args).await,
        Command::Provisioned(args) => provisioned::run(app, args).await,
        Command::Resources(args) => resources::run(app, args).await,
        Command::Sync(args) => sync::run(app, args).await,
        Command::Simulate(args) => simulate::run(app, args).await,
        Command::Doctor => doctor::run(app).await,
        Command::Migrate => migrate::run(app).await,
        Command::Restored(args) => restored::run(app, args).await,
        Command::UpgradeCheck => upgrade_check::run(app).await,
        Command::Prune(args) => prune::run(app, args).await,
        Command::Backup(args) => backup::run(app, args).await,
        Command::Completions(args) => completions::run(&args, &app.out),
    }
}
