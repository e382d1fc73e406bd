from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0012_span_weeks"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="handoverkept",
            index=models.Index(
                condition=models.Q(("alone", False), ("gone", False)),
                fields=["offered_at"],
                name="handoverkept_again",
            ),
        ),
    ]
