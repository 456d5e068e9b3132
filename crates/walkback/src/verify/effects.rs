//! The outside record: what bodies wrote down of themselves, outside the store.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use serde::Deserialize;

use crate::id::{Phase, SagaId};
use crate::plan::StepIdx;
use crate::verify::Report;
use crate::verify::keys::digest;

/// Most bytes of a line of the record.
const LINE_BYTES: u64 = 64 * 1024;
/// The saga that a line without a saga is about.
const NOBODY: SagaId = SagaId::from_bytes([0; 16]);

/// A body began or ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) step: StepIdx,
    pub(super) phase: Phase,
    pub(super) attempt: u32,
    /// The key it saw, as a hash.
    pub(super) key: [u8; 16],
    pub(super) start: bool,
}

/// A line as it is written.
#[derive(Deserialize)]
struct Written {
    saga_id: SagaId,
    step_idx: StepIdx,
    phase: String,
    attempt: u32,
    key: String,
    event: String,
}

/// The record, by saga, in order of happening.
#[derive(Default)]
pub(super) struct Record(HashMap<SagaId, Vec<Line>>);

impl Record {
    /// Reads the record, of one saga or of all. A malformed line is a violation that names it.
    pub(super) fn read(
        mut record: Box<dyn BufRead + Send>,
        only: Option<SagaId>,
        report: &mut Report,
    ) -> Self {
        let mut lines: HashMap<SagaId, Vec<Line>> = HashMap::new();
        let mut text = Vec::new();
        for number in 1_u64.. {
            text.clear();
            match (&mut record).take(LINE_BYTES).read_until(b'\n', &mut text) {
                Ok(0) => break,
                Ok(_) if text.trim_ascii().is_empty() => continue,
                Ok(_) => {}
                Err(error) => {
                    let what = format!("line {number} of the outside record: {error}");
                    report.add("I3", NOBODY, what);
                    break;
                }
            }
            match parse(&text) {
                Ok((saga, line)) if only.is_none_or(|only| only == saga) => {
                    lines.entry(saga).or_default().push(line);
                }
                Ok(_) => {}
                Err((promise, saga, why)) => {
                    let what = format!("line {number} of the outside record: {why}");
                    report.add(promise, saga, what);
                }
            }
        }
        Self(lines)
    }

    /// The lines of a saga, which are then no longer here.
    pub(super) fn take(&mut self, saga: SagaId) -> Option<Vec<Line>> {
        self.0.remove(&saga)
    }

    /// The sagas whose lines nobody took.
    pub(super) fn rest(&self) -> impl Iterator<Item = SagaId> {
        self.0.keys().copied()
    }
}

fn parse(text: &[u8]) -> Result<(SagaId, Line), (&'static str, SagaId, String)> {
    let malformed = |why: String| ("I3", NOBODY, format!("malformed: {why}"));
    let written: Written =
        serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
    let phases = [Phase::Execute, Phase::Probe, Phase::Compensate];
    let phase = phases.into_iter().find(|phase| phase.name() == written.phase);
    let phase = phase.ok_or_else(|| malformed(format!("phase `{}`", written.phase)))?;
    let start = match &*written.event {
        "start" => true,
        "end" => false,
        other => return Err(malformed(format!("event `{other}`: expected `start` or `end`"))),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let key = &written.key;
    if key.is_empty() || key.len() > 64 || !key.bytes().all(fits) {
        let why = format!("key `{key}`: expected at most 64 characters of `[A-Za-z0-9_-]`");
        return Err(("I9", written.saga_id, why));
    }
    let (step, attempt) = (written.step_idx, written.attempt);
    Ok((written.saga_id, Line { step, phase, attempt, key: digest(key), start }))
}
