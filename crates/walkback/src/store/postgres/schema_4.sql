-- Version 4: the queues that workers serve; none means all.

ALTER TABLE workers ADD COLUMN queues text NOT NULL DEFAULT '[]';
