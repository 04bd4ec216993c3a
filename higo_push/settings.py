"""Settings, all from the environment; `docs/settings.md` explains each variable."""

from datetime import timedelta
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from higo_push import database_url, env
from higo_push.env import BASE_DIR
from pushes import lanes
from pushes.storage import shared_redis

SECRET_KEY = env.required("SECRET_KEY", "./push.sh setup writes one to .env.")
DEBUG = env.boolean("DEBUG", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
ENCRYPTION_KEYS = env.fernet_keys("ENCRYPTION_KEYS")

INSTALLED_APPS = [
    # First, since its command `createsuperuser` stands in for Django's.
    "higo_push",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "axes",
    "django_otp",
    # Their tables are empty: only the migration that hides what was readable in them needs them still.
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "django_rq",
    "pushes",
    "chatscan",
]
MIDDLEWARE = [
    "pushes.api.health.ProbeMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Pages of 300 kB become a tenth.
    "higo_push.web.compression.Compression",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "pushes.console.login.idle.IdleMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "pushes.console.operators.preferences.PreferencesMiddleware",
    "pushes.console.login.gatekeeper.SecondFactorMiddleware",
    "pushes.console.login.browsers.KnownBrowserMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "higo_push.urls"
WSGI_APPLICATION = "higo_push.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": database_url.database(
        "DATABASE_URL",
        f"sqlite:///{BASE_DIR / 'higo_push.sqlite3'}",
        database_url.Waits(
            env.integer("DATABASE_CONNECT_SECONDS", 5, least=1, most=3_600),
            env.integer("DATABASE_ANSWER_SECONDS", 20, least=1, most=3_600),
            env.integer("DATABASE_LOCK_SECONDS", 8, least=1, most=3_600),
            env.integer("DATABASE_COMMAND_SECONDS", 7_200, least=1, most=86_400),
        ),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.zone("TIME_ZONE", "Asia/Shanghai")
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = ["higo_push.formats"]

STATIC_URL = "static/"
# Served straight from the packages: nothing to collect before a start, and no file can be missing.
WHITENOISE_USE_FINDERS = True

AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# Failed logins are counted in the database, so that every web process sees the same count: of a browser that is known,
# by itself; else per name and address together, per name, and per address. Tries during a lock neither count nor
# prolong it.
AXES_HANDLER = "pushes.console.login.lockout.LoginHandler"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
LOGIN_NAME_FAILURES = env.integer("LOGIN_NAME_FAILURES", 10, least=1)
LOGIN_ADDRESS_FAILURES = env.integer("LOGIN_ADDRESS_FAILURES", 20, least=1)
AXES_FAILURE_LIMIT = env.integer("LOGIN_FAILURES", 5, least=1)
AXES_COOLOFF_TIME = timedelta(minutes=env.integer("LOGIN_LOCK_MINUTES", 15, least=1))
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "pushes.console.login.lockout.client_address"
AXES_LOCKOUT_CALLABLE = "pushes.console.login.lockout.refuse"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "code", "csrfmiddlewaretoken"]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = AXES_VERBOSE = False

#: Whether operators must, may or cannot have a second factor.
TWO_FACTOR = env.choice("TWO_FACTOR", "optional", ("optional", "required", "off"))
OTP_TOTP_ISSUER = "HIGO Push"

# HTTPS: on by default; the demo and a plain intranet host turn it off with HTTPS=off.
HTTPS = env.boolean("HTTPS", not DEBUG)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
# A probe on this machine speaks plain HTTP and cannot follow a redirect. A call of the API that has a body would
# lose it: the API itself refuses it instead.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$", r"^/*api(/(?!v1/openapi\.json$)|$)"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.boolean("BEHIND_PROXY", False) else None
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
# Browsers' built-in lists are joined for years, with every name under the domain: only when somebody asks for it.
SECURE_HSTS_PRELOAD = HTTPS and env.boolean("HSTS_PRELOAD", False)
SILENCED_SYSTEM_CHECKS = ["security.W021"]
SESSION_COOKIE_AGE = env.integer("SESSION_HOURS", 12, least=1) * 3600
#: After so long without anything that somebody does a login ends; 0: never before SESSION_HOURS.
SESSION_IDLE_MINUTES = env.integer("SESSION_IDLE_MINUTES", 60)
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
# Scripts come from our own files alone, and none stands in a page. The theme needs two exceptions: Alpine and htmx make
# functions of the expressions in its templates ('unsafe-eval'), and it writes its colours into the page as a style.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"one_line": {"()": "higo_push.log_lines.OneLine"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["one_line"]}},
    "root": {
        "handlers": ["console"],
        "level": env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    },
    "loggers": {"rq.worker": {"level": "WARNING"}},
}

# --- services ---------------------------------------------------------------------------------
REDIS_URL = env.url("REDIS_URL", "", env.REDIS_SCHEMES, shared_redis.fault)
MONGO_URL = env.url("MONGO_URL", "", env.MONGO_SCHEMES)
SANDBOX_URL = env.url("SANDBOX_URL", "http://127.0.0.1:8790", ("http", "https"))
# Where calls to providers may go, besides the providers' own hosts and the sandbox's.
PROVIDER_HOSTS = env.hosts("PROVIDER_HOSTS")
# Whom to trust about their certificates instead of Mozilla's list. The second name is OpenSSL's own.
PROVIDER_CA_FILE = env.certificate_file("PROVIDER_CA_FILE", or_else="SSL_CERT_FILE")

# What /readyz asks besides the database and Redis: name to dotted path.
READINESS_CHECKS = {"mongodb": "higo_push.readiness.check_mongodb"} if MONGO_URL else {}
# What /metrics tells besides the platform's own: the source's name to the dotted path of what reads it.
METRICS_READERS = {"scanners": "chatscan.metrics.read"}
# What the console shows besides the platform's own, by dotted path.
CONSOLE_PARTS = ["chatscan.admin.PART"]
# Who is asked whether a message that has waited still stands: the source of pushes to the dotted path of what asks it.
MESSAGE_SOURCES = dict.fromkeys((lanes.GROUP, lanes.PRIVATE), "chatscan.recalls.taken_back")

# --- lanes and workers ------------------------------------------------------------------------
QUEUE_MAX = env.integer("QUEUE_MAX", 4, least=1, most=256)
JOB_SIZE = env.integer("JOB_SIZE", 500, least=1, most=5_000)
SEND_CONCURRENCY = env.integer("SEND_CONCURRENCY", 1_000, least=1, most=2_000)
SEND_THREADS = env.integer("SEND_THREADS", 2, least=1, most=16)
MULTI_PUSH_LEAST = env.integer("MULTI_PUSH_LEAST", 3, least=2)
CALL_TIMEOUT_SECONDS = env.number("CALL_TIMEOUT_SECONDS", 10.0, least=0.1)
LEASE_SECONDS = env.integer("LEASE_SECONDS", 60, least=5)
SHARD_LEASE_SECONDS = env.number("SHARD_LEASE_SECONDS", 30.0, least=1)
MAX_ATTEMPTS = env.integer("MAX_ATTEMPTS", 6, least=1, most=30)
RETRY_BASE_SECONDS = env.number("RETRY_BASE_SECONDS", 2.0, least=0.01)
RETRY_MOST_SECONDS = env.number("RETRY_MOST_SECONDS", 300.0, least=0.01)
BREAKER_FAILURES = env.integer("BREAKER_FAILURES", 20, least=1)
BREAKER_BASE_SECONDS = env.number("BREAKER_BASE_SECONDS", 5.0, least=0.01)
BREAKER_MOST_SECONDS = env.number("BREAKER_MOST_SECONDS", 120.0, least=0.01)
SWEEP_INTERVAL = env.number("SWEEP_INTERVAL", 2.0, least=0.05)
STUCK_SECONDS = env.number("STUCK_SECONDS", 15.0, least=0.1)
RETENTION_DAYS = env.integer("RETENTION_DAYS", 90, least=1)
#: Of one source and reason; what is beyond is counted and not kept.
DEAD_LETTERS_PER_HOUR = env.integer("DEAD_LETTERS_PER_HOUR", 2_000, least=1)
BACKLOG_JOBS = env.integer("BACKLOG_JOBS", 400, least=1)
RQ_QUEUES = {
    name: {
        "USE_REDIS_CACHE": "queues",
        "DEFAULT_TIMEOUT": 600,
        "DEFAULT_RESULT_TTL": 60,
        "SERIALIZER": "rq.serializers.JSONSerializer",
    }
    for lane in lanes.LANES
    for name in lanes.queue_names(lane, QUEUE_MAX)
}
# No caches: the second is where django-rq's own pages get their connection from.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "queues": {"BACKEND": "pushes.storage.shared_redis.QueueConnection"},
}
RQ = {"COMMIT_MODE": "auto", "WORKER_CLASS": "rq.SimpleWorker"}

# --- who is pushed to, and when ---------------------------------------------------------------
DIRECTORY = env.text("DIRECTORY", "pushes.people.directory.TableDirectory")
# Only for pushes.people.sql_directory.SqlDirectory: somebody else's database, which is only read.
if env.text("DIRECTORY_DATABASE_URL"):
    DATABASES["directory"] = database_url.foreign_database("DIRECTORY_DATABASE_URL")
    READINESS_CHECKS["directory"] = "higo_push.readiness.check_directory"
DIRECTORY_ACCOUNTS_SQL = env.text("DIRECTORY_ACCOUNTS_SQL")
DIRECTORY_DEVICES_SQL = env.text("DIRECTORY_DEVICES_SQL")
DIRECTORY_ALL_DEVICES_SQL = env.text("DIRECTORY_ALL_DEVICES_SQL")
# Of the channels that reach one installation, the first here that has an app key.
CHANNEL_PREFERENCE = env.order("CHANNEL_PREFERENCE", "apns,huawei,jpush,fcm,tpns,xinge")
PRESENCE_KEY = env.text("PRESENCE_KEY", "higo:online:{account_id}")
DELIVERY_WINDOW = env.daily_window("DELIVERY_WINDOW", "08:00-23:00")
# How long a chat push waits for somebody who is online: read meanwhile, it is dropped; offline, it goes at once.
GRACE_SECONDS = {
    lanes.GROUP: env.number("GROUP_GRACE_SECONDS", 0.0),
    lanes.PRIVATE: env.number("PRIVATE_GRACE_SECONDS", 0.0),
}
READ_POSITION_KEY = env.text("READ_POSITION_KEY")
COALESCE_SECONDS = env.number("COALESCE_SECONDS", 10.0)

# --- intake and chat --------------------------------------------------------------------------
INTAKE_HEARTBEAT_SECONDS = env.number("INTAKE_HEARTBEAT_SECONDS", 10.0, least=1)
INTAKE_BATCH = env.integer("INTAKE_BATCH", 500, least=1, most=5_000)
SCAN_INTERVAL = env.number("SCAN_INTERVAL", 10.0, least=0.05)
SCAN_BATCH = env.integer("SCAN_BATCH", 500, least=1, most=5_000)
CHAT_DATABASE = env.text("CHAT_DATABASE")
CHAT_GROUP_DATABASE = env.text("CHAT_GROUP_DATABASE")
CHAT_GROUP_COLLECTION = env.text("CHAT_GROUP_COLLECTION", "chats")
CHAT_GROUP_FIELDS = env.pairs("CHAT_GROUP_FIELDS")
CHAT_GROUP_APP = env.choice("CHAT_GROUP_APP", "higo", ("higo", "higirl"))
CHAT_GROUP_AUDIENCE = env.choice("CHAT_GROUP_AUDIENCE", "members", ("members", "owner"))
CHAT_PRIVATE_DATABASE = env.text("CHAT_PRIVATE_DATABASE")
CHAT_PRIVATE_COLLECTION = env.text("CHAT_PRIVATE_COLLECTION", "private_chats")
CHAT_PRIVATE_FIELDS = env.pairs("CHAT_PRIVATE_FIELDS")
CHAT_PRIVATE_APP = env.choice("CHAT_PRIVATE_APP", "higo", ("higo", "higirl"))
CHAT_GROUPS_DATABASE = env.text("CHAT_GROUPS_DATABASE")
CHAT_GROUPS_COLLECTION = env.text("CHAT_GROUPS_COLLECTION", "groups")
CHAT_GROUPS_FIELDS = env.pairs("CHAT_GROUPS_FIELDS")
CHAT_GROUP_DIRECTORY = env.text("CHAT_GROUP_DIRECTORY", "chatscan.groups.MongoGroups")
CHAT_GROUPS_SQL = env.text("CHAT_GROUPS_SQL")
CHAT_GROUP_MEMBERS_SQL = env.text("CHAT_GROUP_MEMBERS_SQL")
CHAT_GROUP_CACHE_SECONDS = env.number("CHAT_GROUP_CACHE_SECONDS", 10.0)
CHAT_TYPES = env.pairs("CHAT_TYPES")
CHAT_PREVIEWS = env.pairs("CHAT_PREVIEWS")
CHAT_PRIVACY = env.choice("CHAT_PRIVACY", "preview", ("full", "preview", "hidden"))
CHAT_PREVIEW_CHARS = env.integer("CHAT_PREVIEW_CHARS", 60, least=1, most=2_000)
CHAT_DOORBELL = env.boolean("CHAT_DOORBELL", True)
CHAT_DOORBELL_RETRY_SECONDS = env.number("CHAT_DOORBELL_RETRY_SECONDS", 60.0, least=0.1)
CHAT_OVERLAP_SECONDS = env.integer("CHAT_OVERLAP_SECONDS", 60, most=86_400)
CHAT_AHEAD_SECONDS = env.integer("CHAT_AHEAD_SECONDS", 60, most=86_400)
CHAT_MAX_AGE_SECONDS = env.integer("CHAT_MAX_AGE_SECONDS", 86_400)
CHAT_ODD_SECONDS = env.number("CHAT_ODD_SECONDS", 60.0, least=0.1)
CHAT_LAG_ALARM_SECONDS = env.number("CHAT_LAG_ALARM_SECONDS", 60.0, least=1)
MONGO_TIMEOUT_SECONDS = env.number("MONGO_TIMEOUT_SECONDS", 10.0, least=0.1)

# --- the operators' console -------------------------------------------------------------------
#: Above this many devices a second person approves a broadcast; 0: never.
BROADCAST_APPROVAL_ABOVE = env.integer("BROADCAST_APPROVAL_ABOVE", 10_000)
#: Above so many devices a part of them gets a broadcast first, unless it says otherwise itself; 0 %: no part.
BROADCAST_CANARY_ABOVE = env.integer("BROADCAST_CANARY_ABOVE", 5_000)
BROADCAST_CANARY_PERCENT = env.integer("BROADCAST_CANARY_PERCENT", 1, most=50)
#: It halts by itself above these shares of what was answered; after so long without an answer it decides anyway.
BROADCAST_CANARY_ERROR_PERCENT = env.number("BROADCAST_CANARY_ERROR_PERCENT", 5.0)
BROADCAST_CANARY_BAD_TOKEN_PERCENT = env.number("BROADCAST_CANARY_BAD_TOKEN_PERCENT", 20.0)
BROADCAST_CANARY_WAIT_SECONDS = env.number("BROADCAST_CANARY_WAIT_SECONDS", 600.0, least=1)
#: While it goes to everybody, the outcomes of the last so many seconds are held against the same limits.
BROADCAST_HALT_WINDOW_SECONDS = env.number("BROADCAST_HALT_WINDOW_SECONDS", 60.0, least=10)
UNFOLD = {
    "SITE_TITLE": "HIGO Push",
    "SITE_HEADER": "HIGO Push",
    "SITE_SUBHEADER": _("operators' console"),
    "SITE_SYMBOL": "notifications_active",
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": False,
    "ENVIRONMENT": "pushes.console.overview.navigation.environment",
    "DASHBOARD_CALLBACK": "pushes.console.overview.page.context",
    "ACCOUNT": {"navigation": "pushes.console.overview.navigation.account"},
    "STYLES": [lambda _request: static("pushes/console.css")],
    "SCRIPTS": [
        lambda _request: static("pushes/console.js"),
        lambda _request: static("pushes/overview.js"),
    ],
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("pushes/favicon.svg")},
    ],
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0f766e",
            "700": "#115e59",
            "800": "#134e4a",
            "900": "#0f3f3c",
            "950": "#042f2e",
        },
    },
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "pushes.console.overview.navigation.sidebar",
    },
}
