-- What 0022_channels does to the delivery log, to be done before `migrate` (docs/operations.md, Upgrade).
ALTER TABLE pushes_deliveryresult
    ADD COLUMN IF NOT EXISTS call_key varchar(63) NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS http_status smallint unsigned NULL,
    MODIFY provider_code varchar(40) NULL DEFAULT '',
    MODIFY provider_push_id varchar(63) NOT NULL DEFAULT '',
    MODIFY token varchar(512) NOT NULL;
