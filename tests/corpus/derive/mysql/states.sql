-- state: empty

-- state: rows
INSERT INTO orgs (name, plan) VALUES ('acme', 'pro'), ('bolt', 'free'), ('coil', NULL);
INSERT INTO users (org_id, email, name, age, balance, note) VALUES (1, 'Ann@acme.example', 'Ann', 31, 10.50, 'first'),
    (1, 'bob@acme.example', 'Bob', 42, 0, ''), (2, 'cid@bolt.example', 'Cïd', 27, 99.99, 'it''s');
INSERT INTO logs VALUES ('2025-01-01', 'one'), ('2025-01-02', 'two');

-- state: nulls
INSERT INTO orgs (name, plan) VALUES ('acme', NULL);
INSERT INTO users (org_id, email, name, age, note) VALUES (NULL, 'a', NULL, NULL, NULL), (1, 'b', NULL, 5, NULL);
INSERT INTO logs VALUES (NULL, NULL), (NULL, 'x');

-- state: triggers
INSERT INTO orgs (name) VALUES ('acme');
INSERT INTO users (org_id, email, age) VALUES (1, 'a', 20);
CREATE TABLE audit (what varchar(50));
CREATE TRIGGER users_noted AFTER UPDATE ON users FOR EACH ROW INSERT INTO audit VALUES ('update');
