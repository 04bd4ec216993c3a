-- The platform's database on MariaDB (10.6 or newer). Set a password first:  mariadb < deploy/database.sql
-- utf8mb4_bin: ids and tokens are case-sensitive, and prefix searches can use the index only with it.
CREATE DATABASE IF NOT EXISTS higo_push CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE USER IF NOT EXISTS 'higo_push'@'localhost' IDENTIFIED BY 'PASSWORD';
CREATE USER IF NOT EXISTS 'higo_push'@'127.0.0.1' IDENTIFIED BY 'PASSWORD';
GRANT ALL PRIVILEGES ON higo_push.* TO 'higo_push'@'localhost';
GRANT ALL PRIVILEGES ON higo_push.* TO 'higo_push'@'127.0.0.1';
