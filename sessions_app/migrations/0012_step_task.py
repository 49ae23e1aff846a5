from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0011_audit_reports"),
    ]

    operations = [
        migrations.AddField(
            model_name="step",
            name="task_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The message by which it was claimed last; delivered again, it takes the lease over.",
                max_length=40,
            ),
        ),
    ]
