//! An output that cannot be written down.

use walkback::{Attempt, Step, StepError};

struct Vpc {
    id: String,
}

struct CreateVpc;

impl Step for CreateVpc {
    const NAME: &'static str = "create_vpc";
    type Input = ();
    type Output = Vpc;

    async fn execute(&self, _: Attempt, (): ()) -> Result<Vpc, StepError> {
        Ok(Vpc { id: "vpc-1".to_owned() })
    }
}

fn main() {}
