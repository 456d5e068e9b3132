use walkback::*;
#[tokio::main(flavor="multi_thread", worker_threads=2)]
async fn main() {
    let path = std::env::args().nth(1).unwrap();
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let conc: usize = std::env::args().nth(3).unwrap().parse().unwrap();
    let steps: Vec<String> = std::env::args().nth(4).unwrap_or("echo,echo,echo".into()).split(',').map(Into::into).collect();
    let store = SqliteStore::open(path).unwrap();
    let engine = Engine::new(Registry::with_builtins(), store.clone()).unwrap();
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!() };
    let stop = tokio_util::sync::CancellationToken::new();
    let w = tokio::spawn(worker.concurrency(conc).run(Until::Stopped, stop.clone()));
    let t = std::time::Instant::now();
    let mut set = tokio::task::JoinSet::new();
    for c in 0..conc {
        let engine = engine.clone(); let steps = steps.clone();
        set.spawn(async move {
            let mut lat = vec![];
            for _ in 0..n/conc {
                let t = std::time::Instant::now();
                let (_s, _st) = engine.start_and_wait(Order::steps(steps.clone()).input(r#"{"message":"hello"}"#)).await.unwrap();
                lat.push(t.elapsed());
            }
            let _ = c; lat
        });
    }
    let mut lat = vec![];
    while let Some(r) = set.join_next().await { lat.extend(r.unwrap()); }
    lat.sort();
    let e = t.elapsed();
    println!("{} sagas in {:?}: {:.0}/s p50 {:?} p99 {:?} commits {:?}", n, e, n as f64/e.as_secs_f64(), lat[lat.len()/2], lat[lat.len()*99/100], store.commits());
    stop.cancel(); w.await.unwrap().unwrap();
}
