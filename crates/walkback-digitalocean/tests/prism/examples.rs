//! Every call that the sagas make, sent to Prism's mock, which answers with the documented example; and each of
//! these examples in place of the answer at its call, where the client must be able to read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::store::Filter;
use walkback::testing::VirtualClock;
use walkback_digitalocean::client::{Answer, Request, Sent, Transport};
use walkback_digitalocean::{Client, Simulator};

use crate::judge::{Judged, Prism, Verdicts};
use crate::lives::{LIVES, Life, Stage};

/// How long a life goes on after an example: what could not be read is on record by then.
const AFTER: Duration = Duration::from_secs(5);
/// How often the same kind of call is tried: steps ask for the same again and again while they wait.
const OFTEN: usize = 3;
/// What the client says of an answer that it cannot read.
const NOT_READ: &str = "not the form that was expected";

/// Which kind of call it is: without ids, and names that carry a saga.
fn kind_of(call: &Request) -> String {
    let path = call.path.split('?').next().unwrap_or_default();
    let is_id = |part: &str| part.len() > 16 || part.bytes().any(|byte| byte.is_ascii_digit());
    let masked = |part| if part != "v2" && is_id(part) { "*" } else { part };
    let parts: Vec<_> = path.split('/').map(masked).collect();
    format!("{} {}", call.method, parts.join("/"))
}

/// The call of this kind and number has another answer.
struct Instead {
    kind: String,
    nth: usize,
    answer: Answer,
}

/// The way to a simulated account, on which one call has another answer.
struct Way {
    account: Arc<dyn Transport>,
    instead: Option<Instead>,
    made: Arc<Mutex<Vec<Request>>>,
    struck: CancellationToken,
}

impl Transport for Way {
    fn send(&self, request: Request) -> Sent<'_> {
        let mut made = self.made.lock().unwrap();
        made.push(request.clone());
        let Some(Instead { kind, nth, answer }) = &self.instead else {
            return self.account.send(request);
        };
        let before = made.iter().filter(|call| kind_of(call) == *kind).count();
        if kind_of(&request) != *kind || before != *nth {
            return self.account.send(request);
        }
        self.struck.cancel();
        Box::pin(std::future::ready(Ok(answer.clone())))
    }
}

/// What comes of a life in which one call has another answer.
struct Lived {
    /// Whether it has come to the call, or, if none was named, to its end.
    came_to_it: bool,
    made: Vec<Request>,
    /// What the client could not read.
    not_read: Vec<String>,
}

/// Lives a life by a clock that waits for nobody.
fn lived(life: Life, instead: Option<Instead>) -> Lived {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = VirtualClock::new();
        let account = Simulator::new(Arc::new(clock)).token("ours");
        let (made, struck) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        let is_clean = instead.is_none();
        let way = Way { account, instead, made: Arc::clone(&made), struck: struck.clone() };
        let stage = Stage::new(&Client::over(Arc::new(way), Arc::new(clock)), clock);
        let end = tokio::select! {
            end = stage.live(life) => end,
            () = async { struck.cancelled().await; tokio::time::sleep(AFTER).await } => Ok(()),
        };
        let came_to_it = if is_clean { end.is_ok() } else { struck.is_cancelled() };
        let mut not_read = Vec::from_iter(end.err().filter(|why| why.contains(NOT_READ)));
        let all = Filter { limit: usize::MAX, ..Filter::default() };
        for id in stage.engine.find_sagas(all).await.unwrap() {
            let rows = stage.engine.ledger(id, 0).await.unwrap().into_iter();
            not_read.extend(rows.map(|row| row.payload).filter(|said| said.contains(NOT_READ)));
        }
        let made = std::mem::take(&mut *made.lock().unwrap());
        Lived { came_to_it, made, not_read }
    })
}

/// What the mock answers to these calls, each of which must be valid.
fn documented(calls: &[Request]) -> Option<Vec<Answer>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_prism, base) = Prism::mock().await?;
        let verdicts = Arc::new(Mutex::new(Verdicts::default()));
        let mock = Judged::at(&base, &verdicts);
        let mut answers = Vec::new();
        for call in calls {
            let answer = mock.send(call.clone()).await.unwrap();
            assert!(answer.status < 300, "the mock refuses {call:?}: {answer:?}");
            answers.push(answer);
        }
        let violations = std::mem::take(&mut verdicts.lock().unwrap().violations);
        assert!(violations.is_empty(), "{}", violations.join("\n"));
        Some(answers)
    })
}

/// How many calls of a life are valid, and how many examples were read at their calls; nothing, if there is no judge
/// here.
fn judged(life: Life) -> Option<[usize; 2]> {
    let clean = lived(life, None);
    assert!(clean.came_to_it && clean.not_read.is_empty(), "{life:?}: {:?}", clean.not_read);
    let answers = documented(&clean.made)?;
    // The control: what cannot be read is named.
    let nothing = Answer { status: 200, ..Answer::default() };
    let control = Instead { kind: kind_of(&clean.made[0]), nth: 1, answer: nothing };
    assert!(!lived(life, Some(control)).not_read.is_empty(), "{life:?}: nothing is named");
    let (valid, mut read) = (answers.len(), 0);
    let mut often: BTreeMap<String, usize> = BTreeMap::new();
    for (call, answer) in clean.made.iter().zip(answers) {
        let kind = kind_of(call);
        let nth = often.entry(kind.clone()).or_default();
        *nth += 1;
        if *nth > OFTEN {
            continue;
        }
        let (said, nth) = (format!("{kind}: {}", answer.body), *nth);
        let lived = lived(life, Some(Instead { kind, nth, answer }));
        assert!(lived.came_to_it, "{life:?}: not so often: {said}");
        assert!(lived.not_read.is_empty(), "{said}: {:?}", lived.not_read);
        read += 1;
    }
    Some([valid, read])
}

#[test]
fn every_call_is_valid_and_every_documented_example_is_read() {
    let counts = std::thread::scope(|scope| {
        let lives = LIVES.map(|life| scope.spawn(move || judged(life)));
        lives.map(|life| life.join().unwrap())
    });
    let Some(counts) = counts.into_iter().collect::<Option<Vec<_>>>() else {
        return eprintln!("WALKBACK_PRISM is not set: nothing was judged");
    };
    let [valid, read] = [0, 1].map(|of| counts.iter().map(|count| count[of]).sum::<usize>());
    eprintln!("{valid} calls valid, {read} documented examples read at their calls");
    assert!(read > 150);
}
