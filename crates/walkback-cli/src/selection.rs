//! Which sagas are meant: the filters of `list`, which bulk forms take too.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use walkback::{Status, store::Filter};

use crate::order::label;

/// Sagas by what they are and how they stand; they must fit all that is said.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// In this status; may be said several times.
    #[arg(long = "status", value_name = "STATUS", value_parser = statuses())]
    statuses: Vec<Status>,
    /// Of this kind.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// With this label; may be said several times, and all must be there.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Parked for this reason, such as `paused`.
    #[arg(long, value_name = "REASON")]
    parked: Option<String>,
    /// Only those that a person has to look at.
    #[arg(long)]
    attention: bool,
}

impl Selection {
    /// All of them, newest first.
    pub(crate) fn filter(self) -> Filter {
        let Self { statuses, kind, labels, parked, attention } = self;
        let limit = usize::MAX;
        Filter { statuses, kind, labels, parked, attention, limit, ..Filter::default() }
    }
}

fn statuses() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.map(Status::name)).map(|name| {
        // The parser before this one lets no other names through.
        Status::named(&name).unwrap_or(Status::Pending)
    })
}
