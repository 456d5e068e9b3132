//! An undo that expects what `execute` does not make.

use walkback::{Attempt, Effect, Step, StepError};

struct CreateVpc;

impl Step for CreateVpc {
    const NAME: &'static str = "create_vpc";
    type Input = ();
    type Output = String;

    async fn execute(&self, _: Attempt, (): ()) -> Result<String, StepError> {
        Ok("vpc-1".to_owned())
    }

    async fn compensate(&self, _: Attempt, (): (), _: Effect<u64>) -> Result<(), StepError> {
        Ok(())
    }
}

fn main() {}
