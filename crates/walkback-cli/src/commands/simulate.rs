//! `simulate`: a simulated DigitalOcean account as a server, for any client of its API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use serde_json::json;
use tokio::net::TcpListener;
use walkback::clock::SystemClock;
use walkback_digitalocean::Simulator;
use walkback_digitalocean::simulator::Server;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback simulate --token secret
  DIGITALOCEAN_API_URL=http://127.0.0.1:8080 DIGITALOCEAN_TOKEN=secret walkback run provision …
  walkback simulate --token secret --knob droplet_limit=3 --knob 'fail_next=lost POST /v2/droplets'

A page at / shows what exists; /_sim/things has it as JSON.

Knobs, for --knob here and beside --simulate, or a POST of {\"NAME\": VALUE, …} to /_sim/set:
  fail_next           what goes wrong next, how often and with which call:
                      `lost POST /v2/droplets`, `503 x3`, `refused GET /v2/droplets/*`; it is
                      not_sent, lost, failed, done_and_failed, rate_limited, refused or a status, or
                      ok: `ok x2 POST /v2/droplets` lets two pass before what is asked for after it
  delay_seconds       what takes how long: {\"droplet\": 300, \"database\": 10}
  lists_lag_seconds   how long lists do not show what is new
  reads_lag_seconds   how long what is new is not found by its id
  errored_actions     so many of the next actions end errored
  vanishing_droplets  so many of the next droplets vanish after they were accepted
  droplet_limit       droplets that the account may have; likewise volume_limit, reserved_ip_limit
  site_status         what every site answers to the visitor of a health check: 503
  latency_ms          how long a call takes
  rate_limits         false: no call is one too many
  speed               how much faster than real its clock runs";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Keep the account in this file; without one it is gone with the server.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    state: Option<PathBuf>,
    /// Who has this token is let in; may be said several times, each with rate limits of its own.
    #[arg(long = "token", value_name = "TOKEN", required = true)]
    tokens: Vec<String>,
    /// Who has this token may only read; may be said several times.
    #[arg(long = "read-only-token", value_name = "TOKEN")]
    read_only_tokens: Vec<String>,
    /// How much faster than real its clock runs.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    speed: u32,
}

pub(crate) async fn run(app: &App, args: SimulateArgs) -> Outcome {
    let clock = Arc::new(SystemClock);
    let cloud = match &args.state {
        Some(file) => Simulator::kept_in(clock, file)
            .map_err(|why| Failure::new(Exit::Usage, format!("--state {why}")))?,
        None => Simulator::new(clock),
    };
    cloud.set(|settings| settings.speed = args.speed);
    app.cloud.turn_knobs(&cloud);
    let bound = TcpListener::bind(args.listen).await;
    let cannot = |error| Failure::new(Exit::Usage, format!("--listen {}: {error}", args.listen));
    let listener = bound.map_err(cannot)?;
    let url = format!("http://{}", listener.local_addr().map_err(cannot)?);
    if app.out.json {
        app.out.json(&json!({ "url": url }))?;
    } else {
        app.out.line(&format!("a simulated account at {url}/"))?;
    }
    let server = Server::new(cloud, args.tokens).read_only(args.read_only_tokens);
    server.serve(listener, app.stop.clone()).await;
    Ok(Exit::Interrupted)
}
