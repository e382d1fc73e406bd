from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0011_kept_promises"),
        ("handoff", "0005_results_without_constraints"),
    ]

    operations = [
        migrations.CreateModel(
            name="SpanWeek",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("week", models.DateField()),
                ("first_source", models.CharField(blank=True, max_length=80)),
                ("first_campaign_id", models.BigIntegerField(default=0)),
                ("persona", models.CharField(blank=True, max_length=40)),
                ("span", models.CharField(max_length=12)),
                ("tenths", models.IntegerField()),
                ("n", models.IntegerField()),
            ],
        ),
        migrations.AddConstraint(
            model_name="spanweek",
            constraint=models.UniqueConstraint(
                fields=("week", "first_source", "first_campaign_id", "persona", "span", "tenths"),
                name="spanweek_one",
            ),
        ),
        migrations.AddField(
            model_name="journeyday",
            name="open_state",
            field=models.CharField(blank=True, default="", max_length=12),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="leadjourney",
            name="open_state",
            field=models.CharField(blank=True, default="", max_length=12),
            preserve_default=False,
        ),
        migrations.RemoveIndex(model_name="leadjourney", name="leadjourney_span"),
        migrations.AddIndex(
            model_name="leadjourney",
            index=models.Index(
                condition=Q(gone=False),
                fields=["created_at"],
                include=[
                    "lead",
                    "first_source",
                    "first_campaign_id",
                    "persona",
                    "stage",
                    "open_state",
                    "mql_at",
                    "offered_at",
                    "accepted_at",
                    "opportunity_at",
                    "customer_at",
                    "undated",
                ],
                name="leadjourney_span",
            ),
        ),
        migrations.RemoveIndex(model_name="leadjourney", name="leadjourney_handed"),
        migrations.AddIndex(
            model_name="leadjourney",
            index=models.Index(
                condition=Q(gone=False, teams__isnull=False),
                fields=["created_at"],
                include=[
                    "lead",
                    "first_source",
                    "first_campaign_id",
                    "persona",
                    "stage",
                    "open_state",
                    "teams",
                    "mql_at",
                    "offered_at",
                    "accepted_at",
                    "opportunity_at",
                    "customer_at",
                    "undated",
                ],
                name="leadjourney_handed",
            ),
        ),
    ]
