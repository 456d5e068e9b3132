//! Every shape of saga up to a size, and what its steps do.

use crate::plan::StepIdx;
use crate::recipe::{Entry, Steps};
use crate::{Order, StepRef};

/// What a step does in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Makes a thing.
    Make,
    /// Makes a thing, cannot be repeated, can be probed.
    Probed,
    /// Makes a thing and has no undo.
    Keep,
    /// Makes a thing; its undo fails for good.
    Stuck,
    /// Makes a thing; its undo fails once.
    Shaky,
    /// Makes a thing, but its first try fails with an unknown outcome.
    Flaky,
    /// Makes a thing, but not yet.
    Slow,
    /// Makes nothing and fails for good, clean.
    Refuse,
    /// Makes a thing and fails for good, unknown.
    Break,
    /// Makes a thing, but its first try fails clean.
    Busy,
    /// Makes a thing; its undo is under way for a while.
    Lingering,
    /// As `Probed`, but its first probe cannot tell.
    Puzzled,
    /// Makes a thing, and cannot be repeated nor probed.
    Once,
    /// Makes a thing, but takes longer than anybody waits who leaves.
    Sleepy,
    /// Makes a thing, but kills its process before that so often that it is taken for poison.
    Deadly,
    /// Makes a thing, but not yet until its ledger is full.
    Endless,
}

impl Does {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Make,
        Self::Probed,
        Self::Keep,
        Self::Stuck,
        Self::Shaky,
        Self::Flaky,
        Self::Slow,
        Self::Refuse,
        Self::Break,
        Self::Busy,
        Self::Lingering,
        Self::Puzzled,
        Self::Once,
        Self::Sleepy,
        Self::Deadly,
        Self::Endless,
    ];

    /// The step's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Make => "make",
            Self::Probed => "probed",
            Self::Keep => "keep",
            Self::Stuck => "stuck",
            Self::Shaky => "shaky",
            Self::Flaky => "flaky",
            Self::Slow => "slow",
            Self::Refuse => "refuse",
            Self::Break => "break",
            Self::Busy => "busy",
            Self::Lingering => "lingering",
            Self::Puzzled => "puzzled",
            Self::Once => "once",
            Self::Sleepy => "sleepy",
            Self::Deadly => "deadly",
            Self::Endless => "endless",
        }
    }
}

/// A saga, and when it is cancelled.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(super) steps: Steps,
    /// What each step does, by its index.
    pub(super) does: Vec<Does>,
    /// Cancelled when so many executes have begun; zero: at once.
    pub(super) cancel: Option<u32>,
    /// Whether it is started beside a running worker, or before it.
    pub(super) hot: bool,
}

impl Scenario {
    pub(super) fn order(&self) -> Order {
        Order::list("shape", self.steps.clone()).key("the one")
    }

    /// The steps that do this.
    pub(super) fn doing(&self, does: Does) -> impl Iterator<Item = StepIdx> + '_ {
        self.does.iter().enumerate().filter(move |(_, d)| **d == does).map(|(idx, _)| idx)
    }
}

/// Part of a shape: one step, or several parts together.
#[derive(Clone)]
enum Part {
    One,
    Many(Vec<Part>),
}

/// All lists of at least two parts with `leaves` steps in all.
fn long(leaves: usize) -> Vec<Vec<Part>> {
    let mut lists = Vec::new();
    for first in 1..leaves {
        for head in parts(first) {
            for tail in short_or_long(leaves - first) {
                lists.push(std::iter::once(head.clone()).chain(tail).collect());
            }
        }
    }
    lists
}

fn parts(leaves: usize) -> Vec<Part> {
    if leaves == 1 { vec![Part::One] } else { long(leaves).into_iter().map(Part::Many).collect() }
}

fn short_or_long(leaves: usize) -> Vec<Vec<Part>> {
    parts(leaves).into_iter().map(|part| vec![part]).chain(long(leaves)).collect()
}

fn entry(part: &Part, does: &mut impl Iterator<Item = Does>) -> Entry {
    match part {
        Part::One => {
            let step = does.next().map_or("make", Does::name);
            Entry::Step(Box::new(StepRef::new(step)))
        }
        Part::Many(parts) => Entry::Many(parts.iter().map(|part| entry(part, does)).collect()),
    }
}

/// What the steps of a saga of this size do, and when it is cancelled.
fn variants(size: usize) -> Vec<(Vec<Does>, Option<u32>)> {
    let plain = vec![Does::Make; size];
    let mut variants = vec![(plain.clone(), None)];
    let with = |places: &[(StepIdx, Does)]| {
        let mut does = plain.clone();
        for (idx, what) in places {
            does[*idx] = *what;
        }
        (does, None)
    };
    for idx in 0..size {
        let alone = [Does::Probed, Does::Flaky, Does::Slow, Does::Refuse, Does::Break];
        variants.extend(alone.map(|does| with(&[(idx, does)])));
        let undone = [Does::Probed, Does::Keep, Does::Stuck, Does::Shaky, Does::Slow];
        let last = (size - 1, Does::Refuse);
        if idx < size - 1 {
            variants.extend(undone.map(|does| with(&[(idx, does), last])));
        }
    }
    let cancels = 0..=u32::try_from(size).unwrap_or(u32::MAX);
    variants.extend(cancels.clone().map(|nth| (plain.clone(), Some(nth))));
    variants.extend(cancels.map(|nth| (vec![Does::Probed; size], Some(nth))));
    variants
}

/// Every saga of exactly `size` steps: sequences, groups, groups of lists, in every nesting; each
/// with nothing special, one special step, one special step before a failing one, or a cancel.
///
/// ```
/// assert!(walkback::testing::scenarios(2).count() > 20);
/// ```
pub fn scenarios(size: usize) -> impl Iterator<Item = Scenario> {
    short_or_long(size).into_iter().flat_map(move |parts| {
        variants(size).into_iter().enumerate().map(move |(nth, (does, cancel))| {
            let mut leaves = does.iter().copied();
            let entries = parts.iter().map(|part| entry(part, &mut leaves)).collect();
            Scenario { steps: Steps(entries), does, cancel, hot: nth % 2 == 0 }
        })
    })
}
