-- Version 3: who changed what was provisioned, and what a survey of the provider did not find.

ALTER TABLE cloud_provisioned ADD COLUMN changed_by TEXT;
ALTER TABLE cloud_resources ADD COLUMN missing_since INTEGER;
