//! I3 and the real I9, I10 and I13: the outside record of a run against its ledger.

use std::collections::HashMap;
use std::fmt;

use crate::id::{Phase, idempotency_key};
use crate::machine::{By, Event};
use crate::plan::StepIdx;
use crate::verify::effects::Line;
use crate::verify::keys::digest;
use crate::verify::track::Track;
use crate::verify::{Case, Report};

/// Which body: attempts that a claim's end or a not-yet ended have the number of the next.
type Which = (StepIdx, &'static str, u32);

/// A body outside: its lines' places, and the first and the last claim under which it may have been
/// started, by their counters.
struct Span {
    line: Line,
    round: u32,
    start: usize,
    /// Without an end it was killed or dropped.
    end: Option<usize>,
    claims: (u64, u64),
    /// Whether a body of this number was begun under several claims: one of a claim that ended may
    /// begin late, after those of the next.
    several: bool,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, phase, attempt) = which(&self.line);
        write!(f, "{phase} {attempt} of step {step}")
    }
}

/// Compares what bodies wrote down with what the ledger says.
pub(super) fn check(
    case: &Case<'_>,
    tracks: &[Track],
    rounds: &[u32],
    lines: &[Line],
    report: &mut Report,
) {
    let known = |line: &&Line| line.step < tracks.len();
    if let Some(line) = lines.iter().find(|line| !known(line)) {
        let what = format!("a body of step {} ran outside: there is no such step", line.step);
        report.add("I3", case.id(), what);
    }
    let lines: Vec<Line> = lines.iter().filter(known).copied().collect();
    let rows = start_rows(case);
    started(case, &rows, &lines, report);
    let rounds = keys(case, rounds, &lines, report);
    executions(case, tracks, &lines, report);
    let spans = spans(case, &rows, &lines, &rounds, report);
    overlaps(case, &spans, report);
}

/// The claims under which each body was recorded as starting, in their order, by their counters.
fn start_rows(case: &Case<'_>) -> HashMap<Which, Vec<u64>> {
    let mut rows: HashMap<Which, Vec<u64>> = HashMap::new();
    for (row, event) in case.run.rows.iter().zip(case.events) {
        let which = match event {
            Event::StepStarted { step, attempt } => (*step, Phase::Execute.name(), *attempt),
            Event::UndoStarted { step, attempt } => (*step, Phase::Compensate.name(), *attempt),
            _ => continue,
        };
        rows.entry(which).or_default().push(row.fence);
    }
    rows
}

fn which(line: &Line) -> Which {
    (line.step, line.phase.name(), line.attempt)
}

/// I3: never more starts outside than rows that say so.
fn started(case: &Case<'_>, rows: &HashMap<Which, Vec<u64>>, lines: &[Line], report: &mut Report) {
    let mut starts: HashMap<Which, usize> = HashMap::new();
    for line in lines.iter().filter(|line| line.start && line.phase != Phase::Probe) {
        let times = starts.entry(which(line)).or_default();
        *times += 1;
        let recorded = rows.get(&which(line)).map_or(0, Vec::len);
        if *times == recorded + 1 {
            let (step, phase, attempt) = which(line);
            let what = format!("{phase} {attempt} of step {step} started outside");
            report.add("I3", case.id(), format_args!("{what}, but not in the ledger"));
        }
    }
}

/// I9: one key per step, phase and round, and it is the one that the contract names. The round of
/// each line.
fn keys(case: &Case<'_>, rounds: &[u32], lines: &[Line], report: &mut Report) -> Vec<u32> {
    let mut last = vec![0_u32; case.plan.len()];
    let mut newest = last.clone();
    for (event, round) in case.events.iter().zip(rounds) {
        if let Some(step) = event.step() {
            newest[step] = newest[step].max(*round);
        }
    }
    let of_line = |line: &Line| {
        let (step, phase) = (line.step, line.phase);
        // A compensation of an older round goes before the executions of the next.
        let mut of_round = last[step].saturating_sub(1)..=newest[step];
        let fits =
            |round: &u32| digest(&idempotency_key(case.id(), step, phase, *round)) == line.key;
        let round = of_round.find(fits);
        if round.is_none() {
            let (phase, attempt) = (phase.name(), line.attempt);
            let what = format!("{phase} {attempt} of step {step} saw a key that is not its own");
            report.add("I9", case.id(), what);
        }
        last[step] = last[step].max(round.unwrap_or_default());
        round.unwrap_or(last[step])
    };
    lines.iter().map(of_line).collect()
}

/// I10: no body more often than retries, waits and claims allow; what succeeded did run.
fn executions(case: &Case<'_>, tracks: &[Track], lines: &[Line], report: &mut Report) {
    let opened = |event: &Event| matches!(event, Event::Resumed { set: Some(_) });
    let rounds = case.events.iter().any(opened);
    for (step, track) in tracks.iter().enumerate() {
        let starts = |phase| {
            let of_step = |line: &&Line| line.step == step && line.phase == phase && line.start;
            lines.iter().filter(of_step).count()
        };
        for (phase, body) in
            [(Phase::Execute, track.execute), (Phase::Compensate, track.compensate)]
        {
            let (times, most) = (starts(phase), body.again as usize + 1);
            if times > most && !rounds {
                let what = format!("{} of step {step} ran {times} times outside", phase.name());
                report.add("I10", case.id(), format_args!("{what}: at most {most} are allowed"));
            }
        }
        let by_execute = |event: &Event| matches!(event, Event::StepCompleted { step: of, by: By::Execute, .. } if *of == step);
        let writes = lines.iter().any(|line| line.step == step);
        if writes && starts(Phase::Execute) == 0 && case.events.iter().any(by_execute) {
            let what = format!("step {step} was done by an execute that never ran outside");
            report.add("I10", case.id(), what);
        }
    }
}

/// Starts and ends brought together. Of several bodies with one number the last that began is the
/// one that ended: those before it were killed, or end later.
fn spans(
    case: &Case<'_>,
    rows: &HashMap<Which, Vec<u64>>,
    lines: &[Line],
    rounds: &[u32],
    report: &mut Report,
) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut counts: HashMap<Which, usize> = HashMap::new();
    let bodies = lines.iter().enumerate().filter(|(_, line)| line.phase != Phase::Probe);
    for (at, line) in bodies {
        if line.start {
            *counts.entry(which(line)).or_default() += 1;
            let (claims, round) = ((0, 0), rounds[at]);
            spans.push(Span { line: *line, round, start: at, end: None, claims, several: false });
            continue;
        }
        let open = |span: &&mut Span| span.end.is_none() && which(&span.line) == which(line);
        if let Some(span) = spans.iter_mut().rev().find(open) {
            span.end = Some(at);
        } else {
            let (step, phase, attempt) = which(line);
            let what = format!("{phase} {attempt} of step {step} ended outside");
            report.add("I3", case.id(), format_args!("{what}, but had not started"));
        }
    }
    let mut seen: HashMap<Which, usize> = HashMap::new();
    for span in &mut spans {
        let which = which(&span.line);
        let nth = seen.entry(which).or_default();
        let claims = rows.get(&which).map(Vec::as_slice).unwrap_or_default();
        let unused = claims.len().saturating_sub(counts[&which]);
        let claim = |at: usize| claims.get(at).copied().unwrap_or(0);
        span.claims = (claim(*nth), claim(*nth + unused));
        span.several = claims.iter().any(|claim| *claim != claims[0]);
        *nth += 1;
    }
    spans
}

/// I13: no undo beside an execute or before it, no body beside itself. Across the end of a claim that
/// is late, within one claim a violation. What begins after a body of a later claim is late too.
fn overlaps(case: &Case<'_>, spans: &[Span], report: &mut Report) {
    let mut open: Vec<&Span> = Vec::new();
    let mut newest: Option<&Span> = None;
    let mut undos: HashMap<(StepIdx, u32), &Span> = HashMap::new();
    for span in spans {
        open.retain(|earlier| earlier.end.is_some_and(|end| end > span.start));
        let mut named = false;
        for earlier in &open {
            let against =
                earlier.line.phase != span.line.phase || earlier.line.step == span.line.step;
            let surely_other =
                earlier.claims.1 != span.claims.0 && earlier.claims.0 != span.claims.1;
            if against || surely_other {
                let what = format!("{earlier} was still under way when {span} began");
                accuse(case, earlier, span, what, report);
                named = true;
            }
        }
        let later = newest.filter(|newest| newest.claims.0 > span.claims.1);
        let place = (span.line.step, span.round);
        let undo = undos.get(&place).copied().filter(|_| span.line.phase == Phase::Execute);
        if let Some(before) = later.or(undo).filter(|_| !named) {
            accuse(case, before, span, format!("{span} began only after {before}"), report);
        }
        if newest.is_none_or(|newest| span.claims.0 > newest.claims.0) {
            newest = Some(span);
        }
        if span.line.phase == Phase::Compensate {
            undos.entry(place).or_insert(span);
        }
        open.push(span);
    }
}

/// A body that should not have been where it was: late if a claim may have ended between the two.
fn accuse(case: &Case<'_>, earlier: &Span, span: &Span, what: String, report: &mut Report) {
    if earlier.claims.0 != span.claims.1 || earlier.several || span.several {
        report.add_late("I13", case.id(), what);
    } else {
        report.add("I13", case.id(), what);
    }
}
