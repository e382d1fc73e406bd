from django.db import migrations, models

SECONDS = "date_part('epoch', %(expressions)s)"
SHOWN = (
    f"(CASE WHEN {SECONDS} < 5400 THEN round({SECONDS} / 60) * 60 WHEN {SECONDS} < 172800 THEN"
    f" round({SECONDS} / 360) * 360\n ELSE round({SECONDS} / 8640) * 8640 END)::int"
)


class Migration(migrations.Migration):
    dependencies = [
        ("feedback", "0014_kept_answers"),
    ]

    operations = [
        migrations.AddField(
            model_name="handoverkept",
            name="answered_after",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Func(
                    "answered_at",
                    "offered_at",
                    arg_joiner=" - ",
                    template=SHOWN,
                ),
                output_field=models.IntegerField(null=True),
            ),
        ),
        migrations.AddField(
            model_name="handoverkept",
            name="called_after",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Func(
                    "touched_at",
                    "offered_at",
                    arg_joiner=" - ",
                    template=SHOWN,
                ),
                output_field=models.IntegerField(null=True),
            ),
        ),
    ]
