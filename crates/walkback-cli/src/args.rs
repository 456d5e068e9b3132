//! What can be said on the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

use crate::cloud::CloudArgs;
use crate::commands::{
    attention, backup, bench, completions, diff, doctor, explain, ledger, list, migrate, operator,
    plan, provisioned, prune, resources, restored, run, show, simulate, start, sync, upgrade_check,
    verify, watch, work,
};

/// Durable sagas: each completes, walks back until nothing it made is left, or says exactly what
/// is left.
#[derive(Debug, Parser)]
#[command(name = "walkback", version, about, long_about = None, max_term_width = 100)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(flatten)]
    pub(crate) cloud: CloudArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  walkback run --steps echo,echo,echo --input '{\"message\": \"hello\"}'
      Three steps forward.
  walkback run --steps echo,echo,fail
      Two steps forward, and back again.
  walkback run --file examples/hello.yaml --json | jq .status
      A saga from a file, for a script.
  walkback attention
      What needs a person, and the commands that end it.

Exit codes:
    0  completed, or the command did what it says
    1  rolled back, or a check found something
    2  bad usage or input; nothing was stored
    3  needs a person: failed with residue, or parked
    4  the store, or the account, cannot be used
    5  the command does not fit how the saga stands
  130  interrupted; what was under way is handed over

The store is the one of --store, WALKBACK_STORE, `store = \"…\"` in walkback.toml here or in \
$XDG_CONFIG_HOME/walkback/config.toml, or sqlite:walkback.db, whichever is named first.";

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where sagas are kept: `sqlite:PATH`, `postgres://USER@HOST/DATABASE` (what it leaves open
    /// comes from PGHOST, PGUSER, PGPASSWORD and so on), or `memory:` for as long as the command runs.
    #[arg(long, global = true, value_name = "STORE", env = "WALKBACK_STORE", help_heading = GLOBAL)]
    pub(crate) store: Option<String>,
    /// One stable JSON document on stdout (`watch` and `ledger`: one a line), and nothing else.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    /// The form of log lines, which go to stderr.
    #[arg(long, global = true, value_name = "FORM", default_value = "text", help_heading = GLOBAL)]
    pub(crate) log: LogForm,
    /// The least that is logged.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn", help_heading = GLOBAL)]
    pub(crate) log_level: LogLevel,
    /// No colours, also on a terminal; `NO_COLOR` in the environment does the same.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) no_color: bool,
}

const GLOBAL: &str = "Global options";

/// The form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least that is logged.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// What went wrong.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Everything.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// One verb each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a saga and work on it here until it is at rest.
    #[command(after_long_help = run::EXAMPLES)]
    Run(Box<run::RunArgs>),
    /// Start a saga and return: it is durable then, and a worker takes it.
    #[command(after_long_help = start::EXAMPLES)]
    Start(Box<start::StartArgs>),
    /// Work on what is due in the store.
    #[command(after_long_help = work::EXAMPLES)]
    Work(work::WorkArgs),
    /// List who works on the store: where, since when, on how many sagas, with which steps.
    Workers,
    /// List sagas, newest first.
    #[command(after_long_help = list::EXAMPLES)]
    List(list::ListArgs),
    /// Show everything about one saga.
    Show(show::ShowArgs),
    /// Show everything that happened to a saga, row by row.
    Ledger(ledger::LedgerArgs),
    /// Follow a saga until it is at rest; ends with the exit code of its run.
    Watch(watch::WatchArgs),
    #[command(flatten)]
    Operator(operator::Verb),
    /// Say why a saga stands as it does, and which commands fit.
    Explain(explain::ExplainArgs),
    /// Say what needs a person: cause, age, what is left, and the command that ends it.
    #[command(after_long_help = attention::EXAMPLES)]
    Attention(attention::AttentionArgs),
    /// List what sagas have provisioned and still want.
    Provisioned(provisioned::ProvisionedArgs),
    /// List what exists in the account, as sagas and the newest sync know.
    #[command(after_long_help = resources::EXAMPLES)]
    Resources(resources::ResourcesArgs),
    /// Look at what exists in the account, and keep it.
    #[command(after_long_help = sync::EXAMPLES)]
    Sync(sync::SyncArgs),
    /// Show what changed in a saga between two rows of its ledger.
    Diff(diff::DiffArgs),
    /// Show what a saga would do, forward and back, without starting it.
    #[command(after_long_help = plan::EXAMPLES)]
    Plan(Box<plan::PlanArgs>),
    /// List the kinds of sagas that this binary knows.
    Kinds,
    /// List the steps that this binary knows.
    Steps,
    /// Check a store against the engine's promises; exit 1 and the violations if there are any.
    #[command(after_long_help = verify::EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// Say whether this binary can go on with every saga in flight; exit 1 and the steps if not.
    #[command(after_long_help = upgrade_check::EXAMPLES)]
    UpgradeCheck,
    /// Say whether the store, its server and its sagas are as they should be; exit 1 if not.
    #[command(after_long_help = doctor::EXAMPLES)]
    Doctor,
    /// Bring the tables of the store to the version of this binary.
    #[command(after_long_help = migrate::EXAMPLES)]
    Migrate,
    /// Say that the store was set back to a backup: every saga in flight parks, and looks first for what
    /// it did since.
    #[command(after_long_help = restored::EXAMPLES)]
    Restored(restored::RestoredArgs),
    /// Measure how fast this machine runs sagas, beside what its disk can do at most.
    #[command(after_long_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Remove sagas that completed or rolled back long ago and have nothing live; a stone of each
    /// stays.
    #[command(after_long_help = prune::EXAMPLES)]
    Prune(prune::PruneArgs),
    /// Serve a simulated DigitalOcean account, for any client of its API.
    #[command(after_long_help = simulate::EXAMPLES)]
    Simulate(simulate::SimulateArgs),
    /// Copy the store into a file, while everything runs.
    Backup(backup::BackupArgs),
    /// Print a script that completes this command in a shell.
    #[command(after_long_help = completions::EXAMPLES)]
    Completions(completions::CompletionsArgs),
}
