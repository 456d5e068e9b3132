//! A step without `execute`.

use walkback::Step;

struct CreateVpc;

impl Step for CreateVpc {
    const NAME: &'static str = "create_vpc";
    type Input = ();
    type Output = ();
}

fn main() {}
