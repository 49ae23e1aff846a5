from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("broadcast", "0009_peak_audience"),
    ]

    operations = [
        migrations.AlterField(
            model_name="sound",
            name="times",
            field=models.JSONField(
                db_default=models.Value("[]"),
                default=list,
                help_text="Begin and end of each caption in seconds; empty for a sound of an old version.",
            ),
        ),
    ]
