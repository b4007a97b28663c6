CREATE TABLE users (
    id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name varchar(80) NOT NULL,
    email varchar(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT 'x''y',
    age int NOT NULL DEFAULT 0 COMMENT 'ye''ars',
    score decimal(10,2),
    shout varchar(90) GENERATED ALWAYS AS (upper(name)) STORED,
    at timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    feeling enum('sad', 'o''k') DEFAULT 'sad',
    UNIQUE KEY users_name (name),
    KEY users_email (email(10), age DESC),
    CONSTRAINT grown CHECK (age >= 0)
) ENGINE=InnoDB COMMENT='who';
CREATE TABLE orders (
    id int PRIMARY KEY,
    user_id bigint unsigned,
    amount int CHECK (amount > 1),
    note text,
    `order` int,
    FULLTEXT KEY orders_note (note),
    KEY `key` (`order`),
    CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE TABLE parts (a int, b date) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
CREATE VIEW adults AS SELECT u.id, u.name FROM users u WHERE u.age >= 18;
CREATE VIEW elders AS SELECT id FROM adults WHERE id > 7;
CREATE TRIGGER stamped BEFORE INSERT ON users FOR EACH ROW SET new.age = new.age + 1;
CREATE FUNCTION twice(a int) RETURNS int DETERMINISTIC COMMENT 'x' RETURN a * 2;
CREATE PROCEDURE tidy(IN a int, OUT b varchar(10)) SET b = a;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM orders;
