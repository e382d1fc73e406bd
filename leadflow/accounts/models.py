"""People, teams, keys and the audit trail."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models

from leadflow import clock


class Role(models.TextChoices):
    MARKETER = "marketer", "Marketer"
    REP = "rep", "Sales rep"
    SALES_MANAGER = "sales_manager", "Sales manager"
    MARKETING_MANAGER = "marketing_manager", "Marketing manager"
    ADMIN = "admin", "Admin"


SALES = (Role.REP, Role.SALES_MANAGER)
MARKETING = (Role.MARKETER, Role.MARKETING_MANAGER)
MANAGERS = (Role.SALES_MANAGER, Role.MARKETING_MANAGER, Role.ADMIN)
EVERYBODY = tuple(Role)


class Team(models.Model):
    """A group of people of one side, with the time zone in which its days run."""

    class Kind(models.TextChoices):
        SALES = "sales", "Sales"
        MARKETING = "marketing", "Marketing"

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=10, choices=Kind)
    tz = models.CharField("time zone", max_length=50, default="UTC")
    manager = models.ForeignKey(
        "accounts.User", null=True, blank=True, on_delete=models.PROTECT, related_name="managed_teams"
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a person; `email` is folded. Raises ValueError without an address."""
        if not email:
            raise ValueError("a user needs an e-mail address")
        user = self.model(email=email.strip().casefold(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create the first admin (`manage.py createsuperuser`)."""
        fields.setdefault("role", Role.ADMIN)
        return self.create_user(email, password, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().casefold())


class User(AbstractBaseUser):
    """A person who signs in. Somebody who has left is inactive, never deleted: the ledgers name them."""

    class Theme(models.TextChoices):
        AUTO = "auto", "As the device"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    email = models.EmailField("e-mail", unique=True)
    name = models.CharField(max_length=120)
    role = models.CharField(max_length=20, choices=Role, default=Role.REP)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="members")
    tz = models.CharField("time zone", max_length=50, blank=True, help_text="empty: the team's")
    is_active = models.BooleanField(default=True)
    # Sales capacity: open handoffs at once; null = as the agreement says. Weight: share in round robin.
    capacity_open = models.PositiveSmallIntegerField(null=True, blank=True)
    weight = models.PositiveSmallIntegerField(default=1)
    theme = models.CharField(max_length=5, choices=Theme, default=Theme.AUTO)
    shortcuts = models.BooleanField("keyboard shortcuts", default=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def in_sales(self) -> bool:
        return self.role in SALES

    @property
    def in_marketing(self) -> bool:
        return self.role in MARKETING

    @property
    def zone(self) -> str:
        """The name of the time zone in which this person reads times."""
        return self.tz or (self.team.tz if self.team else "") or "UTC"


class ApiKey(models.Model):
    """A machine's way in. Only the hash is kept; the key itself is shown once."""

    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12, unique=True)
    key_hash = models.CharField(max_length=64)
    scopes = ArrayField(models.CharField(max_length=40))
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class IdempotencyRecord(models.Model):
    """The answer to a request that may be repeated, kept 24 h, written in the act's transaction."""

    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    response = models.JSONField()
    at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["api_key", "user", "key"], name="idempotency_once", nulls_distinct=False
            )
        ]


class AuditEntry(models.Model):
    """Who did what, when, and why. Append only; `context_id` ties the rows of one act together."""

    at = models.DateTimeField(default=clock.now, db_index=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.PROTECT, related_name="+")
    verb = models.CharField(max_length=80)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=40)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    context_id = models.UUIDField(null=True, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["object_type", "object_id", "at"], name="audit_object")]


class Organisation(models.Model):
    """The company that uses this LeadFlow: exactly one row."""

    name = models.CharField(max_length=120, default="Our company")
    currency = models.CharField(max_length=3, default="EUR")
    tz = models.CharField("time zone", max_length=50, default="UTC")
    country = models.CharField(max_length=2, default="DE")
    date_order = models.CharField(max_length=3, default="DMY")
    demo = models.BooleanField(default=False)
    setup_ticks = models.JSONField(default=dict)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="one_organisation")]

    @classmethod
    def get(cls) -> "Organisation":
        """The one row, made when first asked for."""
        return cls.objects.get_or_create(pk=1)[0]
