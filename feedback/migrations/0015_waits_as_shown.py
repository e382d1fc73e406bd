from django.db import migrations, models


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
                    template="(CASE WHEN date_part('epoch', %(expressions)s) < 5400 THEN round(date_part('epoch', %(expressions)s) / 60) * 60 WHEN date_part('epoch', %(expressions)s) < 172800 THEN round(date_part('epoch', %(expressions)s) / 360) * 360\n ELSE round(date_part('epoch', %(expressions)s) / 8640) * 8640 END)::int",
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
                    template="(CASE WHEN date_part('epoch', %(expressions)s) < 5400 THEN round(date_part('epoch', %(expressions)s) / 60) * 60 WHEN date_part('epoch', %(expressions)s) < 172800 THEN round(date_part('epoch', %(expressions)s) / 360) * 360\n ELSE round(date_part('epoch', %(expressions)s) / 8640) * 8640 END)::int",
                ),
                output_field=models.IntegerField(null=True),
            ),
        ),
    ]
