from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("leads", "0011_orders_of_the_list"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="lead",
            index=models.Index(
                condition=models.Q(
                    ("merged_into__isnull", False), ("erased_at__isnull", False), _connector="OR"
                ),
                fields=["id"],
                name="lead_gone",
            ),
        ),
    ]
