//! The account that sagas work on: DigitalOcean, or a simulated one in a file beside the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use walkback::clock::SystemClock;
use walkback_digitalocean::client::NoAccount;
use walkback_digitalocean::secrets::Folder;
use walkback_digitalocean::simulator::Knob;
use walkback_digitalocean::{Client, Simulator};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::store::Place;

/// How much faster than real a simulated account is.
const SPEED: u32 = 20;
/// How long a call to it takes.
const LATENCY: Duration = Duration::from_millis(40);

/// What is said where there is none.
pub(crate) const NO_ACCOUNT: &str =
    "there is no account: set DIGITALOCEAN_TOKEN, or say --simulate";

const HEADING: &str = "Cloud";

/// What belongs to the store and is not in it: beside its file, or where one works that has none.
fn beside(place: &Place, what: &str) -> PathBuf {
    let mut path = match place {
        Place::Sqlite(path) => path.clone().into_os_string(),
        Place::Memory | Place::Postgres(_) => "walkback".into(),
    };
    path.push(what);
    PathBuf::from(path)
}

/// Which account.
#[derive(Clone, Debug, Args)]
pub(crate) struct CloudArgs {
    /// On a simulated account, which is kept in a file beside the store.
    #[arg(long, global = true, help_heading = HEADING)]
    simulate: bool,
    /// The token of the DigitalOcean account.
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "DIGITALOCEAN_TOKEN",
        hide_env_values = true,
        help_heading = HEADING
    )]
    digitalocean_token: Option<String>,
    /// Where its API is.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "DIGITALOCEAN_API_URL",
        default_value = "https://api.digitalocean.com",
        help_heading = HEADING
    )]
    digitalocean_api_url: String,
    /// Where secrets go that the API shows once, a file for each: beside the store, if nothing is said.
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        env = "WALKBACK_SECRETS",
        help_heading = HEADING
    )]
    secrets: Option<PathBuf>,
    /// How a simulated account behaves and what shall go wrong with it, with `simulate` and `--simulate`:
    /// `droplet_limit=3`, `fail_next=lost POST /v2/droplets`; all are listed by `simulate --help`.
    #[arg(long = "knob", global = true, value_name = "NAME=VALUE", help_heading = HEADING)]
    knobs: Vec<Knob>,
}

impl CloudArgs {
    /// Whether there is one.
    pub(crate) fn is_given(&self) -> bool {
        self.simulate || self.digitalocean_token.as_ref().is_some_and(|token| !token.is_empty())
    }

    /// Has a simulated account behave as it is asked to.
    pub(crate) fn turn_knobs(&self, cloud: &Simulator) {
        self.knobs.iter().for_each(|knob| cloud.turn(knob.clone()));
    }

    /// The account, for sagas of this store.
    ///
    /// # Errors
    /// If what is said of it is wrong, or the simulated account cannot be read.
    pub(crate) fn client(&self, place: &Place) -> Result<Client, Failure> {
        let secrets = self.secrets.clone().filter(|folder| !folder.as_os_str().is_empty());
        // A simulated account counts its keys, so that a real one's may have the same name.
        let own = if self.simulate { "-cloud-secrets" } else { "-secrets" };
        let secrets = secrets.unwrap_or_else(|| beside(place, own));
        Ok(self.account(place)?.keeping(Arc::new(Folder::new(&secrets))))
    }

    fn account(&self, place: &Place) -> Result<Client, Failure> {
        let wrong = |why: String| Failure::new(Exit::Usage, why);
        if self.simulate {
            let cloud = match place {
                Place::Memory => Simulator::new(Arc::new(SystemClock)),
                Place::Sqlite(_) | Place::Postgres(_) => {
                    let file = beside(place, "-cloud.json");
                    let kept = Simulator::kept_in(Arc::new(SystemClock), &file);
                    kept.map_err(|why| wrong(format!("simulated account {why}")))?
                }
            };
            cloud.set(|settings| (settings.speed, settings.latency) = (SPEED, LATENCY));
            self.turn_knobs(&cloud);
            let client = Client::over(cloud.token("simulated"), Arc::new(SystemClock));
            return Ok(client.hurrying(cloud.speed() / 4));
        }
        if !self.knobs.is_empty() {
            return Err(wrong(
                "--knob is for a simulated account: expected --simulate too".to_owned(),
            ));
        }
        let Some(token) = self.digitalocean_token.as_deref().filter(|token| !token.is_empty())
        else {
            return Ok(Client::over(Arc::new(NoAccount(NO_ACCOUNT)), Arc::new(SystemClock)));
        };
        Client::new(&self.digitalocean_api_url, token)
            .map_err(|why| wrong(format!("DigitalOcean: {why}")))
    }
}
