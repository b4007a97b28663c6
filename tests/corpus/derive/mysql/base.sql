CREATE TABLE orgs (id int AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL, plan varchar(20) DEFAULT 'free', UNIQUE KEY orgs_name (name));
CREATE TABLE users (
    id bigint unsigned NOT NULL AUTO_INCREMENT,
    org_id int,
    email varchar(200) CHARACTER SET latin1 NOT NULL COMMENT 'it''s theirs',
    name varchar(80) DEFAULT 'nobody',
    age smallint DEFAULT NULL CHECK (age >= 0),
    balance decimal(10, 2) NOT NULL DEFAULT 0.00,
    note text,
    loud varchar(80) GENERATED ALWAYS AS (upper(name)) STORED,
    updated_at timestamp(3) NOT NULL DEFAULT '2020-01-01 00:00:00.000',
    PRIMARY KEY (id),
    KEY users_email (email(20), age DESC),
    KEY users_age (age),
    CONSTRAINT users_org FOREIGN KEY (org_id) REFERENCES orgs (id) ON DELETE SET NULL,
    CONSTRAINT rich CHECK (balance > -100)
) COMMENT = 'who logs in';
CREATE TABLE logs (at datetime, message varchar(100), KEY logs_at (at));
CREATE VIEW grown AS SELECT id, email FROM users WHERE age > 17 WITH CASCADED CHECK OPTION;
