//! The official specification as an outside judge: every call of the client and every answer of the
//! simulator through Prism's proxy, and every call of the sagas answered with its documented example by
//! Prism's mock. `scripts/test` installs Prism and names it in `WALKBACK_PRISM`.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use walkback::clock::SystemClock;
use walkback_digitalocean::client::Method;
use walkback_digitalocean::simulator::Server;
use walkback_digitalocean::{Client, Simulator};

use judge::{Judged, Prism, Verdicts, call};
use lives::{LIVES, Stage};

mod by_hand;
mod examples;
mod judge;
mod lives;

#[tokio::test]
async fn calls_and_answers_are_as_the_specification_says() {
    let cloud = Simulator::new(Arc::new(SystemClock));
    cloud.set(|settings| settings.speed = 60);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let server =
        Server::new(cloud.clone(), vec!["secret".to_owned()]).serve(listener, stop.clone());
    let judge = async {
        let Some((prism, base)) = Prism::before(&upstream).await else {
            eprintln!("WALKBACK_PRISM is not set: nothing was judged");
            return stop.cancel();
        };
        let verdicts = Arc::new(Mutex::new(Verdicts::default()));
        let judged = || Judged::at(&base, &verdicts);
        for life in LIVES {
            let client = Client::over(Arc::new(judged()), Arc::new(SystemClock)).hurrying(30);
            Stage::new(&client, SystemClock).live(life).await.unwrap();
        }
        by_hand::everything(&judged()).await;
        let found = std::mem::take(&mut *verdicts.lock().unwrap());
        eprintln!("{} calls judged, {} violations", found.calls, found.violations.len());
        assert!(found.violations.is_empty(), "{}", found.violations.join("\n"));
        assert!(found.calls > 200);
        // The control: what is wrong is named.
        let wrong = json!({"name": "no blanks in names", "region": 7});
        call(&judged(), Method::Post, "/v2/vpcs", Some(wrong)).await;
        assert!(!verdicts.lock().unwrap().violations.is_empty(), "the judge sees nothing");
        drop(prism);
        stop.cancel();
    };
    tokio::join!(server, judge);
}
