//! T2: whatever dies, at every call of the store and inside every body, a saga of every shape
//! completes, walks back, or says exactly what is left.

use std::sync::Mutex;

use walkback::testing::{Counts, Memory, Place, Scenario, crash_everywhere, scenarios};

/// Threads that share the sagas.
const THREADS: usize = 2;

fn crash_all(place: &dyn Place, sizes: std::ops::RangeInclusive<usize>, jump: bool) -> Counts {
    let all: Vec<Scenario> = sizes.flat_map(scenarios).collect();
    let counts = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let share = all.iter().skip(thread).step_by(THREADS);
            scope.spawn(|| {
                for scenario in share {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = runtime.enable_time().start_paused(jump).build().unwrap();
                    let t = std::time::Instant::now();
                    let found = runtime.block_on(crash_everywhere(place, scenario));
                    eprintln!("DBG {found} {:?}", t.elapsed());
                    let mut counts = counts.lock().unwrap();
                    counts.scenarios += found.scenarios;
                    counts.crashes += found.crashes;
                }
            });
        }
    });
    counts.into_inner().unwrap()
}

#[test]
fn a_memory_store_survives_every_crash() {
    let counts = crash_all(&Memory, 1..=1, true);
    eprintln!("memory, up to 3 steps: {counts}");
    assert!(counts.crashes > 10_000, "{counts}");
}
