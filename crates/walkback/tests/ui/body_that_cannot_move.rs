//! A body that holds what cannot go to another thread.

use std::rc::Rc;

use walkback::{Attempt, Step, StepError};

struct CreateVpc;

impl Step for CreateVpc {
    const NAME: &'static str = "create_vpc";
    type Input = ();
    type Output = ();

    async fn execute(&self, _: Attempt, (): ()) -> Result<(), StepError> {
        let name = Rc::new("vpc");
        std::future::ready(()).await;
        drop(name);
        Ok(())
    }
}

fn main() {}
